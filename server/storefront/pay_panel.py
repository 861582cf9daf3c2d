"""How the page of an unpaid order says that it can be paid: here, now, by this person.

Pure: `pages` reads what stands, this lays it out for where the page is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.gateways.port import NEEDS_PAYER
from server.orders.model import Order
from server.payments.model import PaymentAttempt
from server.payments.queries import PayStage, PayState
from server.storefront import paying, telling, views
from server.storefront.figures import Price
from server.storefront.language import Language, marked
from server.storefront.paying import Surroundings
from shared import clock

_SOMEBODYS = frozenset({PayStage.IDENTIFY, PayStage.READY, PayStage.RENEW})
_PAGE_OF = {
    PayStage.IDENTIFY: "identify",
    PayStage.OPENING: "opening",
    PayStage.READY: "pay",
    PayStage.RENEW: "renew",
    PayStage.CHOOSE: "choose",
}
_HEADINGS = {
    PayStage.IDENTIFY: marked("支付订单"),
    PayStage.OPENING: marked("正在联系支付渠道"),
    PayStage.READY: marked("支付订单"),
    PayStage.RENEW: marked("支付链接已失效"),
    PayStage.CHOOSE: marked("请选择支付方式"),
}


def filled(
    page: views.OrderPage,
    order: Order,
    pay: PayState,
    ways: Sequence[paying.Way],
    around: Surroundings,
    language: Language,
    *,
    whose: str | None,
    is_unrecognised: bool,
) -> views.OrderPage:
    """The page of an order that waits for money. `whose` is the hash of who is here, where that is known."""
    here = _for_person(pay, ways, around, whose)
    stage, attempt = here.stage, here.attempt
    if stage is PayStage.CONFIRMING:
        return views.told(page, telling.CONFIRMING, language)
    if page.back and stage in {PayStage.READY, PayStage.RENEW}:
        return views.told(page, telling.BACK, language)
    panel = views.PayPanel(
        channel=attempt.channel if attempt else "",
        channel_name=paying.channel_name(attempt.channel, language) if attempt else "",
        ways=tuple(ways),
        on_computer=around.place is paying.Place.COMPUTER,
        inside_wechat=around.place is paying.Place.WECHAT,
        unrecognised=is_unrecognised,
    )
    if stage is PayStage.READY and attempt is not None:
        panel = _opened(panel, attempt, page.amount, language)
    return replace(
        page,
        stage=_PAGE_OF[stage],
        waits=True,
        back=False,
        heading=language.text(_HEADINGS[stage]),
        seconds_left=max(0, int((order.expires_at - clock.now()).total_seconds())),
        pay=panel,
    )


def _for_person(pay: PayState, ways: Sequence[paying.Way], around: Surroundings, whose: str | None) -> PayState:
    """How it stands for this person in this place: a sheet inside WeChat is one person's, and opens only there."""
    stage, attempt = pay.stage, pay.attempt
    if attempt is None or attempt.product not in NEEDS_PAYER or stage not in _SOMEBODYS:
        return pay
    may_ask = any(way.code == attempt.channel and way.product in NEEDS_PAYER for way in ways)
    if stage is PayStage.IDENTIFY and not may_ask:
        return PayState(PayStage.CHOOSE, None)
    if around.place is paying.Place.WECHAT and may_ask and attempt.payer_hash not in {None, whose}:
        return PayState(PayStage.IDENTIFY, attempt)
    return pay


def _opened(panel: views.PayPanel, attempt: PaymentAttempt, amount: Price, language: Language) -> views.PayPanel:
    """What the channel opened, as far as it can be used where the page is open."""
    here = next((way.product for way in panel.ways if way.code == attempt.channel), None)
    serves_all = attempt.pay_url is not None and attempt.qr_text is not None
    is_sheet = attempt.invoke is not None and panel.inside_wechat
    fits = attempt.product == here or is_sheet or (serves_all and here is not None)
    drawn = None
    if attempt.qr_text is not None:
        words = language.text("支付二维码，金额 %(amount)s", amount=str(amount))
        drawn = views.qr_svg(attempt.qr_text, description=words)
    return replace(
        panel,
        wrong_place=not fits,
        opens=paying.opening_words(attempt.channel, language),
        scans=paying.scanning_app(attempt.channel, language),
        url=attempt.pay_url if fits else None,
        qr=drawn,
        invoke=attempt.invoke if fits else None,
    )
