"""Fills the views of the shop from the domains' queries. Reads only; takes a `tx` where it needs one.

Counts of stock are shown, never trusted: the order decides again.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from server.catalog import queries as catalog
from server.context import Context
from server.db import Tx
from server.orders import actions as order_actions
from server.orders import queries as orders
from server.orders.model import Order
from server.payments import queries as payments
from server.payments.model import PaymentAttempt
from server.payments.revealing import RevealedLine
from server.storefront import views
from server.storefront.language import Language
from server.storefront.rendering import assets
from shared import clock, ids
from shared.cardkey import Card
from shared.money import line_amount
from shared.states import AttemptState, ExceptionKind, OrderState

CHANNEL_ORDER = ("wechat", "alipay", "epay", "sandbox")


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
                    price=views.Price.of_unit(item.from_price),
                    several=len(item.sku_ids) > 1,
                    sold_out=not any(free.get(sku, 0) for sku in item.sku_ids),
                )
                for item in shelf.items
            ],
        )
        for shelf in window
    ]


def product(
    ctx: Context, tx: Tx, code: str, *, chosen: str | None = None, quantity_text: str = "1"
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
        shelf_code=found.category_code,
        shelf_name=found.category_name,
        variants=variants,
        chosen=chosen if chosen in in_stock else next(iter(in_stock), None),
        quantity_text=quantity_text,
    )


def review(
    ctx: Context,
    page: views.ProductPage,
    language: Language,
    *,
    sku: str,
    quantity: int,
    channel: str | None = None,
    agreed: bool = False,
    idempotency_key: str | None = None,
) -> views.Review:
    """The recap of one variant of a product page. The caller has checked the quantity and that `sku` is of the page."""
    variant = next(variant for variant in page.variants if variant.code == sku)
    channels = [
        views.channel_choice(code, language)
        for code in sorted(ctx.gateways, key=lambda code: (CHANNEL_ORDER.index(code), code))
    ]
    known = {choice.code for choice in channels}
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
        channels=channels,
        # One way to pay needs no choosing; of several, none is chosen for the buyer.
        channel=channel if channel in known else channels[0].code if len(channels) == 1 else None,
        agreed=agreed,
        idempotency_key=idempotency_key or ids.new_token(),
        hold_minutes=ctx.settings.hold_minutes,
    )


# --- an order ---


def own_order(tx: Tx, typed: str, buyer_id: UUID | None) -> Order | None:
    """The order of a code, when this device may see its keys. Wrong, unknown and foreign codes are all None."""
    code = ids.parse_order_code(typed)
    order = orders.find(tx, code) if code else None
    return order if order and orders.may_see_keys(tx, order, buyer_id) else None


def seen_state(order: Order, attempt: PaymentAttempt | None) -> str:
    """What the page's script compares with `/status` to know that the page is out of date."""
    return f"{order.state}:{attempt.state if attempt else ''}"


def order_page(ctx: Context, tx: Tx, order: Order, language: Language, *, refreshes: int) -> views.OrderPage:
    """The order in its stage, keys not yet filled in (`with_keys` does that, after the reveal is logged)."""
    attempt = payments.current_attempt(tx, order.id)
    lines = orders.lines(tx, order.id)
    page = views.OrderPage(
        code=order.code,
        spoken=ids.speak_order_code(order.code),
        stage="notice",
        seen=seen_state(order, attempt),
        waits=False,
        heading="",
        lines=[views.Line(line.title, line.quantity) for line in lines],
        amount=views.Price.of_fen(order.amount_fen),
        created=views.Moment.of(order.created_at),
        paid=views.Moment.of(order.paid_at) if order.paid_at else None,
        expires=views.Moment.of(order.expires_at),
        refreshes=refreshes,
        link=f"{ctx.settings.base_url.rstrip('/')}/o/{order.code}/k/{order_actions.link_token(ctx.keys, order.id)}",
    )
    state = OrderState(order.state)
    if state in views.KEYS_TELLING:
        page = views.told(page, views.KEYS_TELLING[state], language)
        return replace(page, stage="keys", paid_twice=ExceptionKind.PAID_TWICE in payments.open_kinds(tx, order.id))
    troubled = bool(payments.open_kinds(tx, order.id))
    if state is OrderState.PENDING_PAYMENT and not troubled:
        return _unpaid(page, order, attempt, language)
    telling = views.NOTICE_TELLING.get(state, views.MONEY_IN_QUESTION)
    if troubled and state in _UNPAID:
        telling = views.MONEY_IN_QUESTION
    return views.told(page, telling, language, again_url=f"/p/{lines[0].product_code}" if lines else None)


_UNPAID = frozenset({OrderState.PENDING_PAYMENT, OrderState.EXPIRED, OrderState.CANCELLED})


def _unpaid(page: views.OrderPage, order: Order, attempt: PaymentAttempt | None, language: Language) -> views.OrderPage:
    seconds_left = int((order.expires_at - clock.now()).total_seconds())
    if seconds_left <= 0 or (attempt and attempt.state == AttemptState.PAID):
        return views.told(page, views.CONFIRMING, language)
    heading = language.text("支付订单")
    if attempt is None or attempt.pay_url is None or attempt.qr_text is None:
        return replace(page, stage="opening", waits=True, heading=heading)
    return replace(
        page,
        stage="pay",
        waits=True,
        heading=heading,
        seconds_left=seconds_left,
        pay_url=attempt.pay_url,
        qr=views.qr_svg(
            attempt.qr_text, description=language.text("支付二维码，金额 %(amount)s", amount=str(page.amount))
        ),
        channel_name=views.channel_choice(attempt.channel, language).name,
    )


def with_keys(page: views.OrderPage, revealed: list[RevealedLine]) -> views.OrderPage:
    """The page with the keys that were opened for it."""
    return replace(
        page,
        revealed=tuple(
            views.RevealedKeys(line.title, [views.KeyCard.of(card) for card in line.cards])
            for line in revealed
            if line.cards
        ),
    )


def keys_file(order: Order, revealed: list[RevealedLine], language: Language) -> bytes:
    """The keys as a text file: one line each, number and secret apart by a tab. Opens well in Windows Notepad too."""
    head = f"{language.text('订单号')} {ids.speak_order_code(order.code)}"
    lines = [f"# {head}"]
    for line in revealed:
        lines.append(f"# {line.title} × {len(line.cards)}")
        lines.extend(_card_line(card) for card in line.cards)
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _card_line(card: Card) -> str:
    return f"{card.number}\t{card.secret}" if card.number else card.secret


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
        created=views.Moment.of(order.created_at),
        own=orders.may_see_keys(tx, order, buyer_id),
    )
