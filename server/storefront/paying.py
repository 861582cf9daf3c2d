"""Ways to pay: which channel and which of its products a page offers, by where the page is open.

Inside WeChat its own sheet, inside Alipay its page, on other phones the apps, on computers a code to scan. What cannot
be used here, is switched off or does not answer is shown with its reason, after those that can. Pure, but for reading
the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from server import context, web
from server.context import Context
from server.gateways.port import NEEDS_PAYER, Payer, Product, System
from server.orders.selling import NotSoldHere, is_sold
from server.payments.channels import Offer
from server.storefront import payers
from server.storefront.language import Language, marked

LAST_USED = "channel"
_LAST_USED_SECONDS = 365 * 86_400


class Place(StrEnum):
    """Where a page is open."""

    WECHAT = "wechat"
    MINI_PROGRAM = "mini_program"
    ALIPAY = "alipay"
    PHONE = "phone"
    COMPUTER = "computer"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the buyer is, and what a channel must know of it. `last_used` is how this device paid last time.

    `is_sold`: whether prices may be shown and goods be bought here at all.
    """

    place: Place
    payer: Payer
    last_used: str | None = None
    is_sold: bool = True


def surroundings(request: Request) -> Surroundings:
    """What the browser says of itself. Nothing depends on its truth but which buttons are shown."""
    agent = request.headers.get("user-agent", "")
    place = _place(agent)
    user_id = payers.known(request) if place is Place.WECHAT else None
    payer = Payer(ip=web.facts_of(request).client, user_id=user_id, system=_system(agent))
    return Surroundings(place, payer, request.cookies.get(LAST_USED), is_sold(agent))


def _place(agent: str) -> Place:
    if re.search(r"WindowsWechat|MacWechat", agent):
        return Place.COMPUTER  # WeChat's own browser on a computer: its buyers scan
    if "MicroMessenger" in agent and "wxwork" not in agent:  # WeCom has no official account's sheet
        return Place.MINI_PROGRAM if "miniProgram" in agent else Place.WECHAT
    if "AlipayClient" in agent:
        return Place.ALIPAY
    return Place.PHONE if re.search(r"Mobi|Android|iPhone|HarmonyOS", agent) else Place.COMPUTER


def _system(agent: str) -> System:
    if re.search(r"iPhone|iPad|iPod", agent):
        return "ios"
    return "android" if "Android" in agent else "other"


def remember(request: Request, response: Response, channel: str) -> None:
    """Offer this channel first next time."""
    response.set_cookie(
        LAST_USED,
        channel,
        max_age=_LAST_USED_SECONDS,
        secure=context.of(request).settings.is_https,
        httponly=True,
        samesite="lax",
    )


# --- which product ---

_USUAL: dict[Place, tuple[Product, ...]] = {
    Place.WECHAT: ("h5",),
    Place.MINI_PROGRAM: (),
    Place.ALIPAY: ("h5",),
    Place.PHONE: ("h5", "qr"),
    Place.COMPUTER: ("qr", "page"),
}
"""What a page asks a channel for, the first that it has."""

_SPECIAL: dict[tuple[Place, str], tuple[Product, ...]] = {
    (Place.WECHAT, "wechat"): ("jsapi", "qr"),
    (Place.WECHAT, "alipay"): (),
    (Place.ALIPAY, "wechat"): (),
}
"""One app does not open the other's pages."""

_NOT_HERE: dict[Place, str] = {
    Place.WECHAT: marked("微信里打不开支付宝，请复制本页链接，在浏览器里打开。"),
    Place.ALIPAY: marked("支付宝里打不开微信，请在浏览器里打开本页。"),
    Place.MINI_PROGRAM: marked("小程序内不能购买，请在浏览器里打开本页。"),
}
_NOT_ON_IOS = NotSoldHere.zh
"""Inside a mini program there: nothing may hint at another way to pay."""
_OFF = marked("暂停使用")
_AWAY = marked("暂时没有回应，请换一种方式")
_NOT_SET_UP = marked("这里不支持")

_HINTS: dict[Product, str] = {
    "qr": marked("用手机扫码"),
    "h5": marked("在这台手机上支付"),
    "page": marked("在这台电脑上支付"),
    "jsapi": marked("在微信里支付"),
}
_NAMES: dict[str, str] = {
    "wechat": marked("微信支付"),
    "alipay": marked("支付宝"),
    "epay": marked("聚合支付"),
    "sandbox": marked("支付沙箱"),
}
"""Channels by the names buyers know them by, in the order in which they are offered."""

_CHANNEL_HINTS = {"sandbox": marked("演示用，不会真的扣款")}
_OPENS = {
    "wechat": marked("打开微信支付"),
    "alipay": marked("打开支付宝支付"),
}
_OPENS_PAGE = marked("打开支付页面")
_SCANS = {"wechat": marked("微信"), "alipay": marked("支付宝")}
_ANY_PHONE = marked("手机")
_OWN_APP = {Place.WECHAT: "wechat", Place.ALIPAY: "alipay"}


def product_for(around: Surroundings, channel: str, products: frozenset[str]) -> Product | None:
    """The product of a channel that can be used here; None when none can."""
    for product in _SPECIAL.get((around.place, channel), _USUAL[around.place]):
        if product in products:
            return product
    return None


def product_of(ctx: Context, around: Surroundings, channel: str, *, wished: str = "") -> Product | None:
    """The same for a channel that a form names: None also for one that we do not have. `wished` may be a code."""
    gateway = ctx.gateways.get(channel)
    if gateway is None:
        return None
    usual = product_for(around, channel, gateway.products)
    return "qr" if usual and wished == "qr" and "qr" in gateway.products else usual


def asks_payer(around: Surroundings, product: Product | None) -> bool:
    """Whether the channel must say first who this is."""
    return product in NEEDS_PAYER and around.payer.user_id is None


# --- what is offered ---


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay as it is offered here. `why_not` says why it cannot be chosen."""

    code: str
    name: str
    product: Product | None
    hint: str = ""
    why_not: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be chosen now."""
        return not self.why_not


def channel_name(code: str, language: Language) -> str:
    """A channel by the name buyers know."""
    return language.text(_NAMES[code]) if code in _NAMES else code


def opening_words(code: str, language: Language) -> str:
    """What the button says that opens this channel's app or page."""
    return language.text(_OPENS.get(code, _OPENS_PAGE))


def scanning_app(code: str, language: Language) -> str:
    """What reads this channel's code."""
    return language.text(_SCANS.get(code, _ANY_PHONE))


def ways(offers: Sequence[Offer], around: Surroundings, language: Language) -> list[Way]:
    """All ways: those that can be chosen first, of these the app's own one, then what this device used last."""
    made = [_way(offer, around, language) for offer in offers]
    order = list(_NAMES)

    def rank(way: Way) -> tuple[bool, bool, bool, int, str]:
        own = _OWN_APP.get(around.place) == way.code
        known = order.index(way.code) if way.code in order else len(order)
        return not way.usable, not own, way.code != around.last_used, known, way.code

    return sorted(made, key=rank)


def _way(offer: Offer, around: Surroundings, language: Language) -> Way:
    product = product_for(around, offer.code, offer.products)
    why_not = ""
    if not offer.enabled:
        why_not = _OFF
    elif product is None:
        why_not = _NOT_HERE.get(around.place, _NOT_SET_UP) if around.is_sold else _NOT_ON_IOS
    elif offer.away:
        why_not = _AWAY
    hint = _CHANNEL_HINTS.get(offer.code) or (_HINTS.get(product, "") if product else "")
    return Way(
        code=offer.code,
        name=channel_name(offer.code, language),
        product=product,
        hint=language.text(hint) if hint else "",
        why_not=language.text(why_not) if why_not else "",
    )


def chosen(offered: Sequence[Way], wished: str | None, around: Surroundings) -> str | None:
    """The way that is chosen beforehand: what was wished, what was used last, the only one; else the buyer chooses."""
    usable = [way.code for way in offered if way.usable]
    own = _OWN_APP.get(around.place)
    for code in (wished, own, around.last_used):
        if code in usable:
            return code
    return usable[0] if len(usable) == 1 else None
