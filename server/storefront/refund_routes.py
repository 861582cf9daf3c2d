"""HTTP of refunds as buyers ask for them: the form, what the rules say to it, the request, and how it goes on.

Asking shows no keys and reveals none: the form names them by their places in the order. What is typed never stands in
an address. The rules that were frozen into the order decide, here for honest words and again when it is asked.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from server import context, policy
from server.db import Tx, retrying
from server.payments.refunds import asking, images
from server.payments.refunds.asking import Offer, Wish
from server.policy import PUBLIC, Router
from server.storefront import language as languages
from server.storefront import pages, rendering, views
from server.storefront.language import Language
from server.storefront.order_routes import closed
from shared.errors import KamengError
from shared.states import RefundReason

router = Router()

WISHES = frozenset({"replacement", "money"})


def _asked(
    key: Annotated[list[int], Form(default_factory=list)],
    reason: Annotated[str, Form()] = "",
    wish: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    places: Annotated[str, Form()] = "",
) -> pages.Asked:
    return pages.Asked(frozenset(key), reason, wish, text.strip(), places)


Asked = Annotated[pages.Asked, Depends(_asked)]


async def _photos(request: Request) -> list[bytes]:
    """What the files of the form hold; none was chosen where one is empty."""
    files = [one for one in (await request.form()).getlist("photo") if isinstance(one, UploadFile)]
    return [content for one in files if (content := await one.read(images.LARGEST_BYTES + 1))]


Photos = Annotated[list[bytes], Depends(_photos)]


@router.get("/o/{code}/refunds", allow=PUBLIC)
def refund_list(request: Request, code: str, n: int = 0) -> Response:
    """How the refunds of an order go on: times, who has the ball, and until when. Shows no key."""
    ctx, language = context.of(request), languages.of(request)
    with ctx.db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        page = pages.refund_list(tx, found, language, refreshes=max(0, min(n, 99))) if found else None
    if page is None:
        return closed(request)
    return rendering.page(request, "refunds.html", order=page)


@router.get("/o/{code}/refund", allow=PUBLIC)
def refund_form(request: Request, code: str, key: int = 0) -> Response:
    """The form: which keys, why, and a new key or money. `key` is the place of the one that is meant."""
    return _show_form(request, code, pages.Asked(picked=frozenset({key})), [])


@router.post("/o/{code}/refund/check", allow=PUBLIC)
def check_refund(request: Request, code: str, asked: Asked, edit: Annotated[str, Form()] = "") -> Response:
    """What is about to be asked for and what comes of it; nothing has happened yet. With `edit` the form again."""
    if edit:
        return _show_form(request, code, asked, [])
    return _show_check(request, code, asked, [])


def _show_check(request: Request, code: str, asked: pages.Asked, photo_faults: list[views.Fault]) -> Response:
    """What is about to be asked for, with what is wrong with its photographs; the form, where that lacks something."""
    ctx, language = context.of(request), languages.of(request)
    with ctx.db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        offer = pages.refund_offer(tx, found) if found else None
        units = pages.units_of(tx, found, offer) if found and offer else {}
        faults = _faults(units, offer, asked, language) if offer else []
        recap = pages.refund_recap(found, offer, units, asked, language) if found and offer and not faults else None
    if found is not None and offer is None:  # whatever it is by the next read: what was asked for was not there
        return RedirectResponse(f"/o/{found.code}/refunds", HTTPStatus.SEE_OTHER)
    if recap is None:
        return _show_form(request, code, asked, faults)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if photo_faults else HTTPStatus.OK
    address = f"/o/{recap.code}/refund"
    return rendering.page(
        request, "refund_check.html", status=status, address=address, recap=recap, asked=asked, faults=photo_faults
    )


@router.get("/o/{code}/refunds/{image_id}", allow=PUBLIC)
def refund_image(request: Request, code: str, image_id: UUID) -> Response:
    """One image beside a refund of the order, as what its bytes were when they were taken."""
    with context.of(request).db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        picture = images.read_of_order(tx, image_id, order_id=found.id) if found else None
    if picture is None:
        return closed(request)
    headers = {
        "content-disposition": f'inline; filename="{image_id}.{picture.kind}"',
        "cache-control": "private, no-store",
    }
    return Response(picture.content, media_type=picture.media_type, headers=headers)


@router.post("/o/{code}/refund", allow=PUBLIC)
def ask_refund(request: Request, code: str, asked: Asked, photos: Photos) -> Response:
    """Ask, with photographs where there are some. Asking again for what is under way leads to the same page.

    So does a form that was sent again when what it asked for is done: its places mean other keys by now.
    """
    ctx, language, who = context.of(request), languages.of(request), policy.actor(request)
    with ctx.db.read() as tx:
        found = pages.own_order(tx, code, who.id)
    if found is None:
        return closed(request)
    try:
        pictures = images.judged(photos)
    except images.UnusableImage as refusal:
        return _show_check(request, code, asked, [views.Fault("photo", refusal.sentence(language.code))])

    status: int = HTTPStatus.UNPROCESSABLE_ENTITY

    def ask(tx: Tx) -> list[views.Fault]:
        offer = pages.refund_offer(tx, found)
        if offer is None:
            return []  # somebody asked already, or there is nothing: the list says which
        units = pages.units_of(tx, found, offer)
        if faults := _faults(units, offer, asked, language):
            return faults
        if asked.places != pages.places_mark(offer, units):
            return []
        asking.ask(
            tx,
            ctx.keys,
            Wish(
                order_id=found.id,
                reason=RefundReason(asked.reason),
                text=asked.text,
                order_line_id=offer.order_line_id,
                seqs=tuple(sorted(units[n] for n in asked.picked)),
                wants_replacement=asked.wish == "replacement",
                pictures=pictures,
            ),
            actor=who.label,
        )
        return []

    try:
        ctx.buckets.take("refund_ask", found.code)
        faults = retrying(ctx.db, ask)
    except KamengError as refusal:
        faults, status = [views.Fault(None, refusal.sentence(language.code))], refusal.status
    if faults:
        return _show_form(request, code, asked, faults, status=status)
    ctx.jobs.wake()
    return RedirectResponse(f"/o/{found.code}/refunds", HTTPStatus.SEE_OTHER)


def _show_form(
    request: Request,
    code: str,
    asked: pages.Asked,
    faults: list[views.Fault],
    *,
    status: int = HTTPStatus.UNPROCESSABLE_ENTITY,
) -> Response:
    """The form with what is wrong; or how it stands, when there is nothing to ask for."""
    ctx, language = context.of(request), languages.of(request)
    with ctx.db.read() as tx:
        found = pages.own_order(tx, code, policy.actor(request).id)
        offer = pages.refund_offer(tx, found) if found else None
        form = pages.refund_form(tx, found, offer, asked, language) if found and offer else None
    if found is None:
        return closed(request)
    if form is None:
        return RedirectResponse(f"/o/{found.code}/refunds", HTTPStatus.SEE_OTHER)
    address = f"/o/{found.code}/refund"
    return rendering.page(
        request, "refund.html", status=status if faults else HTTPStatus.OK, address=address, form=form, faults=faults
    )


def _faults(units: dict[int, int], offer: Offer, asked: pages.Asked, language: Language) -> list[views.Fault]:
    """What the form lacks. The rules are asked here so that a refusal is said before anything is sent."""
    faults = []
    if not asked.picked or not asked.picked <= set(units):
        faults.append(views.Fault("key", language.text("请勾选有问题的卡密。")))
    known = {reason.value: verdict for reason, verdict in offer.verdicts.items()}
    if asked.reason not in known or known[asked.reason].is_refusal:
        faults.append(views.Fault("reason", language.text("请选择一个可以申请的原因。")))
    if asked.wish not in WISHES:
        faults.append(views.Fault("wish", language.text("请选择补发还是退款。")))
    if len(asked.text) > asking.LONGEST_TEXT or "\0" in asked.text:
        faults.append(views.Fault("text", language.text("说明请不要超过 %(n)s 个字。", n=asking.LONGEST_TEXT)))
    return faults
