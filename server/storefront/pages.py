"""Fills the views of the shop from the domains' queries. Reads only; takes a `tx` where it needs one.

Counts of stock are shown, never trusted: the order decides again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from server.catalog import queries as catalog
from server.context import Context
from server.db import Tx
from server.orders import actions as order_actions
from server.orders import links
from server.orders import queries as orders
from server.orders.model import Order, OrderLine
from server.payments import channels, payers
from server.payments import queries as payments
from server.payments.queries import PayState
from server.payments.refunds import asking, images, splitting
from server.payments.refunds import queries as refunds
from server.payments.refunds.asking import Offer
from server.payments.refunds.queries import Story
from server.payments.refunds.rules import Verdict
from server.payments.revealing import RevealedLine
from server.storefront import pay_panel, paying, refund_views, telling, views
from server.storefront.figures import Moment, Price
from server.storefront.language import Language
from server.storefront.paying import Surroundings
from server.storefront.refund_views import RefundStory
from server.storefront.rendering import assets
from shared import ids
from shared.cardkey import Card
from shared.contracts.orders import OrderStatus
from shared.money import line_amount
from shared.states import AttemptState, ExceptionKind, OrderState, RefundCause, RefundPolicy, RefundReason

# --- the shop window ---


def shelves(ctx: Context, tx: Tx) -> list[views.Shelf]:
    """Everything that is on sale, by category."""
    window = catalog.shop_window(tx)
    free = ctx.hints.free_counts(tx, [sku for shelf in window for item in shelf.items for sku in item.sku_ids])
    return [
        views.Shelf(
            code=shelf.code,
            name=shelf.name,
            goods=[
                views.Good(
                    code=item.code,
                    name=item.name,
                    summary=item.summary,
                    picture=assets().picture_url(item.picture),
                    initial=item.name[0],
                    price=Price.of_unit(item.from_price),
                    several=len(item.sku_ids) > 1,
                    sold_out=not any(free.get(sku, 0) for sku in item.sku_ids),
                )
                for item in shelf.items
            ],
        )
        for shelf in window
    ]


def product(
    ctx: Context, tx: Tx, code: str, language: Language, *, chosen: str | None = None, quantity_text: str = "1"
) -> views.ProductPage | None:
    """The detail page; the first variant in stock is chosen unless the buyer has. None for what is not on sale."""
    found = catalog.product_page(tx, code)
    if found is None:
        return None
    free = ctx.hints.free_counts(tx, [sku.id for sku in found.skus])
    variants = [
        views.Variant(
            code=sku.code,
            name=sku.name,
            unit_price=sku.unit_price,
            most=sku.max_quantity,
            left=free.get(sku.id, 0),
        )
        for sku in found.skus
    ]
    in_stock = [variant.code for variant in variants if not variant.sold_out]
    return views.ProductPage(
        code=found.code,
        name=found.name,
        summary=found.summary,
        description=found.description,
        picture=assets().picture_url(found.picture),
        initial=found.name[0],
        supplier=found.supplier,
        policy=views.Policy.of(found.refund_policy, language),
        shelf_code=found.category_code,
        shelf_name=found.category_name,
        variants=variants,
        chosen=chosen if chosen in in_stock else next(iter(in_stock), None),
        quantity_text=quantity_text,
    )


def ways_to_pay(ctx: Context, tx: Tx, around: Surroundings, language: Language) -> list[paying.Way]:
    """All ways to pay as they are offered where the page is open."""
    return paying.ways(channels.offers(ctx, tx), around, language)


def review(
    ctx: Context,
    page: views.ProductPage,
    *,
    ways: list[paying.Way],
    sku: str,
    quantity: int,
    channel: str | None = None,
    agreed: bool = False,
    idempotency_key: str | None = None,
) -> views.Review:
    """The recap of one variant of a product page. The caller has checked the quantity and that `sku` is of the page."""
    variant = next(variant for variant in page.variants if variant.code == sku)
    return views.Review(
        sku_code=variant.code,
        sku_name=variant.name,
        product_code=page.code,
        product_name=page.name,
        supplier=page.supplier,
        picture=page.picture,
        initial=page.initial,
        unit_price=variant.unit_price,
        quantity=quantity,
        amount_fen=line_amount(variant.unit_price, quantity),
        policy=page.policy,
        ways=ways,
        channel=channel,
        agreed=agreed,
        policy_version=order_actions.POLICY_VERSION,
        idempotency_key=idempotency_key or ids.new_token(),
        hold_minutes=ctx.settings.hold_minutes,
    )


# --- an order ---


def own_order(tx: Tx, typed: str, buyer_id: UUID | None) -> Order | None:
    """The order of a code, when this device may see its keys. Wrong, unknown and foreign codes are all None."""
    code = ids.parse_order_code(typed)
    order = orders.find(tx, code) if code else None
    return order if order and orders.may_see_keys(tx, order, buyer_id) else None


@dataclass(frozen=True, slots=True)
class Standing:
    """All that decides what an order's page shows."""

    order: Order
    pay: PayState
    kinds: set[ExceptionKind]
    stories: list[Story]

    @property
    def seen(self) -> str:
        """What the page's script compares, to know that the page is out of date. Tells nothing by itself."""
        attempt = self.pay.attempt
        facts = [self.order.state, self.pay.stage, *sorted(self.kinds)]
        facts += [attempt.id.hex, attempt.state] if attempt else []
        facts += [f"{story.refund_id.hex}{len(story.steps)}{story.turn}" for story in self.stories]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def stands(tx: Tx, order: Order) -> Standing:
    """How an order stands."""
    kinds = payments.open_kinds(tx, order.id)
    return Standing(order, payments.pay_state(tx, order), kinds, refunds.timeline(tx, order))


def status(tx: Tx, order: Order) -> tuple[OrderStatus, PayState]:
    """What the page polls, and how the order can be paid."""
    standing = stands(tx, order)
    attempt = standing.pay.attempt
    answer = OrderStatus(
        code=order.code,
        state=OrderState(order.state),
        attempt=AttemptState(attempt.state) if attempt else None,
        seen=standing.seen,
    )
    return answer, standing.pay


def is_waiting(order: Order) -> bool:
    """Whether the order waits for money."""
    return order.state == OrderState.PENDING_PAYMENT


@dataclass(frozen=True, slots=True)
class Came:
    """How the buyer came to an order's page: `order_routes.order_page` says what each means."""

    refreshes: int = 0
    back: bool = False
    sheet: bool = False
    scan: bool = False


HERE = Came()


def order_page(
    ctx: Context, tx: Tx, standing: Standing, language: Language, around: Surroundings, came: Came = HERE
) -> views.OrderPage:
    """The order in its stage, keys not yet filled in (`with_keys` does that, after the reveal is logged)."""
    order = standing.order
    lines = orders.lines(tx, order.id)
    stories = tuple(RefundStory.of(story, language) for story in standing.stories)
    page = views.OrderPage(
        code=order.code,
        spoken=ids.speak_order_code(order.code),
        stage="notice",
        seen=standing.seen,
        waits=False,
        heading="",
        lines=[views.Line(line.title, line.quantity) for line in lines],
        amount=Price.of_fen(order.amount_fen),
        created=Moment.of(order.created_at),
        policy=views.Policy.of(RefundPolicy(lines[0].refund_policy), language, version=order.policy_version),
        policy_version=order.policy_version,
        paid=Moment.of(order.paid_at) if order.paid_at else None,
        expires=Moment.of(order.expires_at),
        refreshes=came.refreshes,
        back=came.back and is_waiting(order),
        refunds=stories,
        link=f"{ctx.settings.base_url.rstrip('/')}/o/{order.code}/k/{links.token_of(ctx.keys, order.id)}",
    )
    state = OrderState(order.state)
    if state in telling.KEYS:
        return _delivered(tx, page, standing, lines, language)
    if state in _UNPAID and standing.kinds:
        kind = next(iter(standing.kinds)) if len(standing.kinds) == 1 else None
        said = telling.IN_QUESTION.get(kind, telling.MONEY_IN_QUESTION) if kind else telling.MONEY_IN_QUESTION
        return views.told(page, said, language)
    if state is OrderState.PENDING_PAYMENT:
        ways = ways_to_pay(ctx, tx, around, language)
        whose = payers.hash_of(ctx.keys, "wechat", "jsapi", around.payer)
        page = replace(page, sheet=came.sheet)
        return pay_panel.filled(
            page, order, standing.pay, ways, around, language, whose=whose, is_unrecognised=came.scan
        )
    said = telling.NOTICE[state]
    if state is OrderState.CANCELLED and payments.is_open_somewhere(tx, order.id):
        said = telling.STILL_OPEN
    if state is OrderState.DELIVERY_FAILED and any(story.is_open for story in standing.stories):
        said = telling.REFUNDING
    return views.told(page, said, language, again_url=f"/p/{lines[0].product_code}" if lines else None)


_UNPAID = frozenset({OrderState.PENDING_PAYMENT, OrderState.EXPIRED, OrderState.CANCELLED})


def _delivered(
    tx: Tx, page: views.OrderPage, standing: Standing, lines: Sequence[OrderLine], language: Language
) -> views.OrderPage:
    order, is_untouched = standing.order, not standing.stories
    if not is_untouched and not refunds.places(tx, lines):
        return views.told(page, telling.WITHHELD, language)
    may_ask, is_sealed = _refundable(tx, order, lines, is_untouched=is_untouched)
    page = replace(page, may_ask=may_ask, notes=tuple(_notes(standing, language)))
    if is_sealed:
        return replace(views.told(page, telling.SEALED, language), stage="sealed")
    return replace(views.told(page, telling.KEYS[OrderState(order.state)], language), stage="keys")


def _refundable(tx: Tx, order: Order, lines: Sequence[OrderLine], *, is_untouched: bool) -> tuple[bool, bool]:
    """Whether anything may be asked for, and whether it may go back because nobody has seen the keys.

    Nearly all pages are of orders that no refund touched, whose rules give nothing back unseen: they need no query.
    """
    if is_untouched and not _may_be_sealed(order, lines):
        return asking.may_ask_for_all(tx, order, lines), False
    offers = asking.offers(tx, order, lines)
    return any(offer.may_ask for offer in offers), any(_is_sealed(order, offer) for offer in offers)


def is_sealed(tx: Tx, order: Order) -> bool:
    """Whether nobody has seen the keys, and they may still be given back for that."""
    lines = orders.lines(tx, order.id)
    if not _may_be_sealed(order, lines):
        return False
    return any(_is_sealed(order, offer) for offer in asking.offers(tx, order, lines))


def _may_be_sealed(order: Order, lines: Sequence[OrderLine]) -> bool:
    return order.first_viewed_at is None and any(line.refund_policy == RefundPolicy.BEFORE_VIEW for line in lines)


def _is_sealed(order: Order, offer: Offer) -> bool:
    may_go_back = offer.may_ask and offer.policy is RefundPolicy.BEFORE_VIEW and order.first_viewed_at is None
    return may_go_back and offer.verdicts[RefundReason.UNWANTED] is Verdict.APPROVE


def _notes(standing: Standing, language: Language) -> list[views.Note]:
    order, notes = standing.order, []
    if order.delivered_at and order.delivered_at > order.expires_at:
        heading = language.text("这笔付款是在订单过期后收到的")
        notes.append(views.Note(heading, language.text("库存还有，所以照常发货，不用再买一次。"), icon="clock"))
    is_returned = any(story.cause is RefundCause.PAID_TWICE for story in standing.stories)
    if ExceptionKind.PAID_TWICE in standing.kinds and not is_returned:
        sentence = language.text("同一张订单收到了两笔付款。多付的一笔会原路退回，不影响上面的卡密。")
        notes.append(views.Note(language.text("您多付了一笔"), sentence, tone="warn"))
    return notes


# --- keys ---


def with_keys(page: views.OrderPage, revealed: list[RevealedLine], language: Language) -> views.OrderPage:
    """The page with the keys that were opened for it."""
    counted, lines = 0, []
    for line in revealed:
        shown = zip(line.cards, line.marks, strict=True)
        keys = [
            views.KeyCard.of(card, n, mark=mark, language=language)
            for n, (card, mark) in enumerate(shown, start=counted + 1)
        ]
        counted += len(keys)
        if keys:
            lines.append(views.RevealedKeys(line.title, keys))
    return replace(page, revealed=tuple(lines))


def keys_file(code: str, revealed: list[RevealedLine], language: Language) -> bytes:
    """The keys as a text file: one line each, number and secret apart by a tab. Opens well in Windows Notepad too."""
    head = f"{language.text('订单号')} {ids.speak_order_code(code)}"
    lines = [f"# {head}"]
    for line in revealed:
        lines.append(f"# {line.title} × {len(line.cards)}")
        lines.extend(_card_line(card) for card in line.cards)
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _card_line(card: Card) -> str:
    return f"{card.number}\t{card.secret}" if card.number else card.secret


# --- refunds ---


def refund_list(tx: Tx, order: Order, language: Language, *, refreshes: int) -> views.RefundList:
    """The refunds of an order, the newest first, and what may still be asked for."""
    standing = stands(tx, order)
    stories = [RefundStory.of(story, language) for story in reversed(standing.stories)]
    return views.RefundList(
        code=order.code,
        spoken=ids.speak_order_code(order.code),
        seen=standing.seen,
        waits=any(story.is_open for story in stories),
        refunds=tuple(stories),
        may_ask=refund_offer(tx, order) is not None,
        refreshes=refreshes,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of a refund says, as typed: places of keys in the order, a reason, a wish, words.

    `places` says which keys those places meant (`places_mark`): they shift when one goes back.
    """

    picked: frozenset[int] = frozenset()
    reason: str = ""
    wish: str = ""
    text: str = ""
    places: str = ""


def refund_offer(tx: Tx, order: Order) -> Offer | None:
    """What may be asked for of this order now; None when there is nothing, or something is under way."""
    return next((offer for offer in asking.offers(tx, order) if offer.may_ask), None)


def units_of(tx: Tx, order: Order, offer: Offer) -> dict[int, int]:
    """The unit numbers of what may be asked for, by their places in the order."""
    return {
        n: seq
        for (line_id, seq), n in refunds.places(tx, orders.lines(tx, order.id)).items()
        if line_id == offer.order_line_id and seq in offer.seqs
    }


def places_mark(offer: Offer, units: dict[int, int]) -> str:
    """What is the same as long as each place means the same key. Tells nothing by itself."""
    facts = [offer.order_line_id.hex, *(f"{n}={seq}" for n, seq in sorted(units.items()))]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def refund_form(tx: Tx, order: Order, offer: Offer, asked: Asked, language: Language) -> refund_views.RefundForm:
    """The form, with what was picked and typed so far."""
    units = tuple(units_of(tx, order, offer))
    return refund_views.RefundForm(
        code=order.code,
        spoken=ids.speak_order_code(order.code),
        title=offer.title,
        policy_title=views.Policy.of(offer.policy, language, version=order.policy_version).title,
        units=units,
        picked=frozenset(units) if len(units) == 1 else asked.picked,
        reasons=refund_views.reasons(offer.verdicts, language, chosen=asked.reason),
        wish=asked.wish,
        text=asked.text,
        longest_text=asking.LONGEST_TEXT,
    )


def refund_recap(
    order: Order, offer: Offer, units: dict[int, int], asked: Asked, language: Language
) -> refund_views.RefundRecap:
    """What is about to be asked for. The caller has checked it."""
    verdict = offer.verdicts[RefundReason(asked.reason)]
    worth = splitting.of_units(offer.left_fen, units=len(asked.picked), of=len(offer.seqs))
    [reason] = [one for one in refund_views.reasons(offer.verdicts, language, chosen=asked.reason) if one.chosen]
    return refund_views.RefundRecap(
        code=order.code,
        title=offer.title,
        units=tuple(sorted(asked.picked)),
        reason=reason,
        wish=asked.wish,
        text=asked.text,
        amount=Price.of_fen(worth),
        at_once=verdict is Verdict.APPROVE,
        places=places_mark(offer, units),
        most_photos=images.MOST,
    )


# --- looking up ---


def find_status(tx: Tx, typed: str, buyer_id: UUID | None, language: Language) -> views.Found | None:
    """What a spoken code shows to anybody who knows it: the state. None for wrong and unknown codes alike."""
    code = ids.parse_order_code(typed)
    order = orders.find(tx, code) if code else None
    if order is None:
        return None
    label, tone = views.state_tag(OrderState(order.state), language)
    return views.Found(
        code=order.code,
        spoken=ids.speak_order_code(order.code),
        label=label,
        tone=tone,
        created=Moment.of(order.created_at),
        own=orders.may_see_keys(tx, order, buyer_id),
    )
