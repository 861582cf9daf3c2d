"""HTTP of the shop window, of ordering and of looking an order up: pages, forms and static files.

Thin: reads through `pages`, acts through `payments.checkout`. An order's own pages are in `order_routes`.

Every state has an address; forms are POST-redirect-GET with an idempotency key, so that refresh, back and a second
tab are safe.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Request
from fastapi.responses import Response

from server import context, policy, web
from server.catalog import queries as catalog
from server.gateways.port import Product
from server.orders import actions as order_actions
from server.orders import unpaid
from server.orders.selling import NotSoldHere
from server.payments import checkout
from server.payments.channels import ChannelOff
from server.policy import BUYER, PUBLIC, Router
from server.storefront import language as languages
from server.storefront import pages, paying, rendering, views
from server.storefront.language import Language
from server.storefront.order_routes import to_order
from shared.errors import BadInput, Busy, IdempotencyReused, KamengError, NotFound
from shared.money import least_quantity, line_amount
from shared.pricing import MAX_QUANTITY

router = Router()

_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_WHOLE = re.compile(r"[0-9]{1,6}")


# --- the shop window ---


@router.get("/", allow=PUBLIC)
def home(request: Request) -> Response:
    """All shelves."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        shelves = pages.shelves(ctx, tx)
    is_sold = paying.surroundings(request).is_sold
    return rendering.page(request, "home.html", public=True, shelves=shelves, current=None, is_sold=is_sold)


@router.get("/c/{code}", allow=PUBLIC)
def shelf(request: Request, code: str) -> Response:
    """One shelf. Raises NotFound when nothing is on sale there."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        shelves = pages.shelves(ctx, tx)
    current = next((one for one in shelves if one.code == code), None)
    if current is None:
        raise NotFound
    is_sold = paying.surroundings(request).is_sold
    return rendering.page(request, "home.html", public=True, shelves=shelves, current=current, is_sold=is_sold)


@router.get("/p/{code}", allow=PUBLIC)
def product(request: Request, code: str, sku: str | None = None, quantity: str = "1") -> Response:
    """The detail page; `sku` and `quantity` are what the buyer had chosen when coming back from the review."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        page = pages.product(ctx, tx, code, languages.of(request), chosen=sku, quantity_text=quantity[:6])
    if page is None:
        raise NotFound
    is_sold = paying.surroundings(request).is_sold
    return rendering.page(request, "product.html", public=True, product=page, faults=[], is_sold=is_sold)


@router.get("/static/{name:path}", allow=PUBLIC)
def static(request: Request, name: str) -> Response:
    """A static file under its hashed name."""
    response = rendering.static_file(request, name)
    if response is None:
        raise NotFound
    return response


# --- review and order ---


@dataclass(frozen=True, slots=True)
class OrderForm:
    """What the forms of the detail and review pages send, as typed. Everything may be missing or nonsense."""

    sku: str
    quantity: str
    channel: str = ""
    agreed: bool = False
    amount_fen: str = ""
    idempotency_key: str = ""
    policy_version: str = ""

    @property
    def address(self) -> str:
        """Where the same review is shown to a GET."""
        return f"/review?{urlencode({'sku': self.sku, 'quantity': self.quantity})}"


@router.get("/review", allow=BUYER)
def review(request: Request, sku: str = "", quantity: str = "1") -> Response:
    """The recap before an order, or the detail page again with what is wrong."""
    return _show_review(request, OrderForm(sku=sku, quantity=quantity.strip()), [], status=200)


@router.post("/orders", allow=BUYER)
async def order(
    request: Request,
    sku: Annotated[str, Form()] = "",
    quantity: Annotated[str, Form()] = "",
    amount_fen: Annotated[str, Form()] = "",
    channel: Annotated[str, Form()] = "",
    idempotency_key: Annotated[str, Form()] = "",
    agreed: Annotated[str, Form()] = "",
    policy_version: Annotated[str, Form()] = "",
) -> Response:
    """Place the order of a review page. The same form sent twice answers the same order."""
    form = OrderForm(
        sku=sku,
        quantity=quantity.strip(),
        channel=channel,
        agreed=agreed == "yes",
        amount_fen=amount_fen,
        idempotency_key=idempotency_key,
        policy_version=policy_version,
    )
    return await _place(request, form)


async def _place(request: Request, form: OrderForm) -> Response:
    ctx, language = context.of(request), languages.of(request)
    hidden = _KEY.fullmatch(form.idempotency_key) and form.amount_fen.isascii() and form.amount_fen.isdecimal()
    if not hidden or "\0" in form.sku:
        # Only a broken or forged form gets these wrong.
        raise BadInput(reason=language.text("表单不完整，请从商品页重新开始"))
    around = paying.surroundings(request)
    if not around.is_sold:
        raise NotSoldHere
    product = paying.product_of(ctx, around, form.channel)
    faults = _unfilled(form, product, language)
    if faults or not _WHOLE.fullmatch(form.quantity) or not 1 <= int(form.quantity) <= MAX_QUANTITY:
        return await asyncio.to_thread(_show_review, request, form, faults, status=422)
    buyer_id = policy.actor(request).id
    assert buyer_id is not None, "the route makes a device cookie"
    command = order_actions.PlaceOrder(
        buyer_id=buyer_id,
        idempotency_key=form.idempotency_key,
        sku=form.sku,
        quantity=int(form.quantity),
        amount_fen=int(form.amount_fen[:13]),
        channel=form.channel,
        origin=unpaid.origin_of(ctx.keys, web.client_prefix(request)),
        agreed_to=form.policy_version,
    )
    try:
        placed = await checkout.place(ctx, command, product=product, payer=around.payer)
    except KamengError as refusal:
        return await asyncio.to_thread(_refused, request, form, refusal)
    response = to_order(placed.code, "sheet" if paying.asks_payer(around, product) else "")
    paying.remember(request, response, form.channel)
    return response


def _unfilled(form: OrderForm, product: Product | None, language: Language) -> list[views.Fault]:
    faults = []
    if product is None:
        faults.append(views.Fault("channel", language.text("请选择支付方式。")))
    if not form.agreed:
        faults.append(views.Fault("agreed", language.text("请先勾选同意退款规则。")))
    return faults


def _refused(request: Request, form: OrderForm, refusal: KamengError) -> Response:
    """A refusal as the page where the buyer can do something about it, with everything kept."""
    sentence = refusal.sentence(languages.of(request).code)
    match refusal:
        case order_actions.SoldOut() | order_actions.QuantityLimited() | order_actions.TooLittle():
            return _show_product(request, form, [views.Fault("quantity", sentence)], status=refusal.status)
        case unpaid.TooManyUnpaid() | unpaid.TooManyUnpaidNearby():
            return _show_review(request, form, [views.Fault(None, sentence)], status=refusal.status)
        case order_actions.PriceChanged() | IdempotencyReused():
            # Another total is another order: agreed to again, under a new key.
            fresh = OrderForm(sku=form.sku, quantity=form.quantity, channel=form.channel)
            return _show_review(request, fresh, [views.Fault(None, sentence)], status=refusal.status)
        case order_actions.RulesChanged():
            anew = replace(form, agreed=False)
            return _show_review(request, anew, [views.Fault("agreed", sentence)], status=refusal.status)
        case ChannelOff():
            return _show_review(request, form, [views.Fault("channel", sentence)], status=refusal.status)
        case Busy():
            response = _show_review(request, form, [views.Fault(None, sentence)], status=refusal.status)
            response.headers["retry-after"] = str(refusal.params.get("retry_after_seconds", 2))
            return response
        case _:
            raise refusal


def _show_review(request: Request, form: OrderForm, faults: list[views.Fault], *, status: int) -> Response:
    """The review page, or the detail page when the choice itself cannot be bought. Raises NotFound for no such SKU."""
    ctx, language = context.of(request), languages.of(request)
    page = _product_of(request, form)
    variant = next(variant for variant in page.variants if variant.code == form.sku)
    wrong = _quantity_fault(variant, form.quantity, language)
    if wrong is not None:
        return _show_product(request, form, [wrong], status=422)
    around = paying.surroundings(request)
    if not around.is_sold:
        return _show_product(request, form, [], status=NotSoldHere.status)
    with ctx.db.read() as tx:
        ways = pages.ways_to_pay(ctx, tx, around, language)
    shown = pages.review(
        ctx,
        page,
        ways=ways,
        sku=form.sku,
        quantity=int(form.quantity),
        channel=paying.chosen(ways, form.channel, around),
        agreed=form.agreed,
        idempotency_key=form.idempotency_key or None,
    )
    if form.amount_fen and int(form.amount_fen[:13]) != line_amount(variant.unit_price, shown.quantity):
        # The price changed while the form was open: say so instead of showing another total silently.
        changed = order_actions.PriceChanged(amount=str(shown.amount).removeprefix("¥"))
        faults = [views.Fault(None, changed.sentence(language.code)), *faults]
    return rendering.page(request, "review.html", status=status, address=form.address, review=shown, faults=faults)


def _quantity_fault(variant: views.Variant, typed: str, language: Language) -> views.Fault | None:
    if variant.sold_out:
        return views.Fault("sku", language.text("“%(name)s”刚刚售罄，请看看其他规格。", name=variant.name))
    if not _WHOLE.fullmatch(typed) or not 1 <= int(typed) <= variant.most:
        sentence = language.text("数量请填写 1 到 %(most)s 的整数。", most=variant.most)
        return views.Fault("quantity", sentence)
    if int(typed) < (least := least_quantity(variant.unit_price)):
        return views.Fault("quantity", order_actions.TooLittle(least=least).sentence(language.code))
    if int(typed) > variant.left:
        return views.Fault("quantity", order_actions.SoldOut(left=variant.left).sentence(language.code))
    return None


def _show_product(request: Request, form: OrderForm, faults: list[views.Fault], *, status: int) -> Response:
    page = _product_of(request, form)
    address = f"/p/{page.code}?{urlencode({'sku': form.sku, 'quantity': form.quantity[:6]})}"
    is_sold = paying.surroundings(request).is_sold
    return rendering.page(
        request, "product.html", status=status, address=address, product=page, faults=faults, is_sold=is_sold
    )


def _product_of(request: Request, form: OrderForm) -> views.ProductPage:
    ctx = context.of(request)
    with ctx.db.read() as tx:
        terms = catalog.sku_by_code(tx, form.sku)
        page = None
        if terms is not None:
            language, typed = languages.of(request), form.quantity[:6]
            page = pages.product(ctx, tx, terms.product_code, language, chosen=form.sku, quantity_text=typed)
    if page is None:
        raise NotFound
    return page


# --- looking up ---


@router.get("/lookup", allow=PUBLIC)
def lookup(request: Request) -> Response:
    """The form for an order's number."""
    return rendering.page(request, "lookup.html", public=True, found=None, typed="", faults=[])


@router.post("/lookup", allow=PUBLIC)
def look_up(request: Request, code: Annotated[str, Form()] = "") -> Response:
    """The state of an order, for whoever knows its number: never keys, never money."""
    ctx, language = context.of(request), languages.of(request)
    ctx.buckets.take("lookup", web.client_network(request))
    with ctx.db.read() as tx:
        found = pages.find_status(tx, code[:40], policy.actor(request).id, language)
    faults = []
    if found is None:
        faults.append(views.Fault("code", language.text("没有找到这个订单号，请对照订单页再核对一遍。")))
    return rendering.page(
        request,
        "lookup.html",
        status=200 if found else 404,
        address="/lookup",
        found=found,
        typed="" if found else code[:40],
        faults=faults,
    )
