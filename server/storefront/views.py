"""What each page shows, as frozen values ready for a template: words chosen, money split, times in the shop's zone.

Pure: no request, no database. `routes` fills them from the domains' queries; templates only lay them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO

import segno
from markupsafe import Markup

from server.storefront.language import Language, marked
from shared import clock
from shared.cardkey import Card
from shared.labels import label
from shared.money import Fen, UnitPrice, format_fen, format_unit_price
from shared.states import OrderState

FEW_LEFT = 10
"""Below this a buyer is told how many are left: a reason to hurry that is true."""


@dataclass(frozen=True, slots=True)
class Price:
    """An amount in two parts, so that the yuan can be large and the cents small: `12,345` and `.60`."""

    whole: str
    part: str

    @classmethod
    def of_fen(cls, amount: Fen) -> Price:
        """A total."""
        return cls._cut(format_fen(amount))

    @classmethod
    def of_unit(cls, price: UnitPrice) -> Price:
        """The price of one piece, which may have up to four decimals."""
        return cls._cut(format_unit_price(price))

    @classmethod
    def _cut(cls, text: str) -> Price:
        whole, _, part = text.partition(".")
        return cls(whole, f".{part}")

    def __str__(self) -> str:
        return f"¥{self.whole}{self.part}"


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as people in the shop read it: whole, as a clock, and for machines."""

    text: str
    clock: str
    iso: str

    @classmethod
    def of(cls, instant: datetime) -> Moment:
        """The instant in the shop's time zone."""
        local = clock.shop_time(instant)
        return cls(f"{local:%Y-%m-%d %H:%M:%S}", f"{local:%H:%M}", local.isoformat(timespec="seconds"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing a form got wrong; `field` is the id of its input, or None when it is about all of it."""

    field: str | None
    sentence: str


# --- the shop window ---


@dataclass(frozen=True, slots=True)
class Good:
    """A product on a shelf. `picture` is an address; without one its `initial` is drawn."""

    code: str
    name: str
    summary: str
    picture: str | None
    initial: str
    price: Price
    several: bool
    sold_out: bool


@dataclass(frozen=True, slots=True)
class Shelf:
    """A category with what is on sale in it."""

    code: str
    name: str
    goods: list[Good]


@dataclass(frozen=True, slots=True)
class Variant:
    """One SKU to choose. `most` is what one order may take, `left` what was in stock a moment ago."""

    code: str
    name: str
    unit_price: UnitPrice
    most: int
    left: int

    @property
    def price(self) -> Price:
        """The price of one piece."""
        return Price.of_unit(self.unit_price)

    @property
    def sold_out(self) -> bool:
        """Whether none is left."""
        return self.left == 0

    @property
    def few(self) -> bool:
        """Whether the buyer should know how many are left."""
        return 0 < self.left < FEW_LEFT


@dataclass(frozen=True, slots=True)
class ProductPage:
    """The detail page. `quantity_text` is what the buyer typed, kept even when it is wrong."""

    code: str
    name: str
    summary: str
    description: str
    picture: str | None
    initial: str
    supplier: str
    shelf_code: str
    shelf_name: str
    variants: list[Variant]
    chosen: str | None
    quantity_text: str

    @property
    def paragraphs(self) -> list[str]:
        """The description between its empty lines."""
        return [part.strip() for part in re.split(r"\r?\n\s*\r?\n", self.description) if part.strip()]

    @property
    def sold_out(self) -> bool:
        """Whether no variant can be bought."""
        return all(variant.sold_out for variant in self.variants)

    @property
    def most(self) -> int:
        """The largest quantity that the chosen variant, or the first one, takes in one order."""
        chosen = [variant for variant in self.variants if variant.code == self.chosen] or self.variants
        return chosen[0].most


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """One way to pay, as it is offered."""

    code: str
    name: str
    hint: str


@dataclass(frozen=True, slots=True)
class Review:
    """The recap before an order. `amount_fen` is what the buyer agrees to: it does not change afterwards."""

    sku_code: str
    sku_name: str
    product_code: str
    product_name: str
    supplier: str
    picture: str | None
    initial: str
    unit_price: UnitPrice
    quantity: int
    amount_fen: Fen
    channels: list[ChannelChoice]
    channel: str | None
    agreed: bool
    idempotency_key: str
    hold_minutes: int

    @property
    def unit(self) -> Price:
        """The price of one piece."""
        return Price.of_unit(self.unit_price)

    @property
    def amount(self) -> Price:
        """The total."""
        return Price.of_fen(self.amount_fen)


CHANNELS: dict[str, tuple[str, str]] = {
    "sandbox": (marked("支付沙箱"), marked("演示用，不会真的扣款")),
    "wechat": (marked("微信支付"), ""),
    "alipay": (marked("支付宝"), ""),
    "epay": (marked("聚合支付"), ""),
}


def channel_choice(code: str, language: Language) -> ChannelChoice:
    """A channel with the words a buyer knows it by."""
    name, hint = CHANNELS.get(code, (code, ""))
    return ChannelChoice(code, language.text(name), language.text(hint) if hint else "")


# --- an order ---


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of a key that look alike in kind: digits have a colour of their own."""

    text: str = field(repr=False)
    digits: bool


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key for the eye: in groups of four when it is one long word, as it is when it has marks of its own."""

    raw: str = field(repr=False)

    @property
    def groups(self) -> list[list[Run]]:
        """The runs of each group. Joined without anything between they are the raw key."""
        parts = [self.raw]
        if len(self.raw) > 5 and self.raw.isascii() and self.raw.isalnum():
            parts = [self.raw[n : n + 4] for n in range(0, len(self.raw), 4)]
        return [[Run(text, text[0].isdigit()) for text in re.findall(r"[0-9]+|[^0-9]+", part)] for part in parts]


@dataclass(frozen=True, slots=True)
class KeyCard:
    """One delivered key: its number, where it has one, and its secret."""

    number: KeyText | None
    secret: KeyText

    @classmethod
    def of(cls, card: Card) -> KeyCard:
        """The card as it is shown."""
        return cls(KeyText(card.number) if card.number else None, KeyText(card.secret))


@dataclass(frozen=True, slots=True)
class RevealedKeys:
    """The keys of one order line."""

    title: str
    keys: list[KeyCard]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order as it was sold."""

    title: str
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderPage:
    """An order in one of its stages: `pay`, `opening` (no pay address yet), `keys` or `notice`.

    `seen` is the state that the page shows; its script turns the page when the server's differs. `refreshes` counts
    the reloads of a browser without JavaScript.
    """

    code: str
    spoken: str
    stage: str
    seen: str
    waits: bool
    heading: str
    lines: list[Line]
    amount: Price
    created: Moment
    paid: Moment | None = None
    expires: Moment | None = None
    refreshes: int = 0
    seconds_left: int = 0
    pay_url: str | None = None
    qr: Markup | None = None
    channel_name: str = ""
    explanation: str = ""
    tone: str = ""
    icon: str = "check"
    next_steps: tuple[str, ...] = ()
    can_ask: bool = False
    again_url: str | None = None
    revealed: tuple[RevealedKeys, ...] = ()
    paid_twice: bool = False
    link: str = ""

    @property
    def refresh_seconds(self) -> int:
        """Without JavaScript the page asks again after 3 seconds, later 5, later 10."""
        return 3 if self.refreshes < 5 else 5 if self.refreshes < 12 else 10

    @property
    def key_count(self) -> int:
        """How many keys are shown."""
        return sum(len(line.keys) for line in self.revealed)


@dataclass(frozen=True, slots=True)
class Telling:
    """What an order's page says in one state. Sentences are in Chinese and translated where they are shown."""

    heading: str
    explanation: str
    tone: str = ""
    icon: str = "check"
    next_steps: tuple[str, ...] = ()
    waits: bool = False
    can_ask: bool = False
    may_buy_again: bool = False


_MONEY_IS_SAFE = marked("款项已经记在这张订单上，不会丢失，也请不要再付一次。")
_WILL_END = marked("结果只有两种：补发卡密，或者原路退款。都会显示在本页。")
_KEEP_CODE = marked("需要联系商家时，请提供下面的订单号。")

KEYS_TELLING: dict[OrderState, Telling] = {
    OrderState.DELIVERED: Telling(marked("支付成功，卡密已发货"), marked("这就是您的卡密，可以马上使用。")),
    OrderState.COMPLETED: Telling(marked("订单已完成"), marked("卡密会一直保留在这里。")),
    OrderState.PARTIALLY_DELIVERED: Telling(marked("已发出一部分卡密"), marked("其余的正在补货；补不上的会原路退款。")),
    OrderState.PARTIALLY_REFUNDED: Telling(marked("部分款项已退回"), marked("没有退款的卡密仍在这里。")),
    OrderState.DISPUTED: Telling(marked("这张订单正在核实"), marked("核实期间，卡密仍在这里。")),
}
"""States in which the buyer sees keys."""

NOTICE_TELLING: dict[OrderState, Telling] = {
    OrderState.PAID: Telling(
        marked("已收到付款，正在发货"),
        marked("钱已收到，但卡密还没有发出，可能是库存刚好用完。我们正在处理。"),
        tone="warn",
        icon="clock",
        next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
        waits=True,
        can_ask=True,
    ),
    OrderState.DELIVERY_FAILED: Telling(
        marked("已收到付款，还没能发货"),
        marked("很抱歉，付款到账时库存已经用完。我们正在处理。"),
        tone="warn",
        icon="alert",
        next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
        waits=True,
        can_ask=True,
    ),
    OrderState.EXPIRED: Telling(
        marked("订单已过期"),
        marked("没有在时限内收到付款，这张订单已经关闭。"),
        tone="calm",
        icon="clock",
        next_steps=(marked("如果您在关闭前已经付款：支付渠道通知我们之后，会在本页发货或者退款。"), _KEEP_CODE),
        can_ask=True,
        may_buy_again=True,
    ),
    OrderState.CANCELLED: Telling(
        marked("订单已取消"),
        marked("没有收到付款，这张订单已经关闭。"),
        tone="calm",
        icon="cross",
        may_buy_again=True,
    ),
    OrderState.REFUNDED: Telling(
        marked("款项已退回"),
        marked("全部金额已原路退回，到账时间以支付渠道为准。"),
        tone="calm",
        icon="return",
        may_buy_again=True,
    ),
}
"""States in which the buyer reads what happened."""

MONEY_IN_QUESTION = Telling(
    marked("收到了付款，正在人工核对"),
    marked("支付渠道报来的付款与这张订单对不上，需要我们的同事核对一下。"),
    tone="warn",
    icon="alert",
    next_steps=(_MONEY_IS_SAFE, _WILL_END, _KEEP_CODE),
    waits=True,
    can_ask=True,
)
"""An unpaid, expired or cancelled order for which money came that does not fit it."""

CONFIRMING = Telling(
    marked("正在向支付渠道确认"),
    marked("支付时间已到。我们正在确认有没有收到付款，很快就有结果。"),
    tone="calm",
    icon="clock",
    next_steps=(
        marked("已经付款的，不会丢失：确认后本页自动显示卡密。"),
        marked("还没付款的，请不要再付，重新下单即可。"),
    ),
    waits=True,
    can_ask=True,
)
"""The time to pay is over, and the order not yet closed."""


def told(order: OrderPage, telling: Telling, language: Language, *, again_url: str | None = None) -> OrderPage:
    """The page with what its state has to say, in the buyer's language."""
    return replace(
        order,
        heading=language.text(telling.heading),
        explanation=language.text(telling.explanation),
        tone=telling.tone,
        icon=telling.icon,
        next_steps=tuple(language.text(step) for step in telling.next_steps),
        waits=telling.waits,
        can_ask=telling.can_ask,
        again_url=again_url if telling.may_buy_again else None,
    )


def qr_svg(text: str, *, description: str) -> Markup:
    """The QR code as inline SVG with a text alternative, without style attributes, dark on white in every theme."""
    drawn = BytesIO()
    segno.make_qr(text, error="m").save(
        drawn, kind="svg", xmldecl=False, svgns=False, border=0, omitsize=True, svgclass=None, lineclass=None
    )
    inner = drawn.getvalue().decode().removeprefix("<svg").strip()
    return Markup('<svg role="img" aria-label="{}" ').format(description) + Markup(inner)  # noqa: S704 - segno's digits


# --- looking up ---


@dataclass(frozen=True, slots=True)
class Found:
    """What a spoken order code shows: the state and nothing else. `own` when this device may open the order."""

    code: str
    spoken: str
    label: str
    tone: str
    created: Moment
    own: bool


_TONES = {OrderState.PENDING_PAYMENT: "warn", OrderState.PAID: "warn", OrderState.DELIVERY_FAILED: "warn"}


def state_tag(state: OrderState, language: Language) -> tuple[str, str]:
    """The word for a state and the class of its tag."""
    calm = {OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED}
    return label(state, language.code), "" if state in calm else _TONES.get(state, "good-news")
