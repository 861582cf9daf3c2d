"""What each page shows, as frozen values ready for a template: words chosen, money split, times in the shop's zone.

Pure: no request, no database. `routes` fills them from the domains' queries; templates only lay them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from io import BytesIO

import segno
from markupsafe import Markup

from server.orders.actions import POLICY_VERSION
from server.payments.refunds.queries import Mark
from server.storefront import telling
from server.storefront.figures import Moment, Price
from server.storefront.language import Language, marked
from server.storefront.paying import Way
from server.storefront.refund_views import RefundStory
from server.storefront.telling import Telling
from shared.cardkey import Card
from shared.labels import label
from shared.money import Fen, UnitPrice
from shared.states import OrderState, RefundPolicy

FEW_LEFT = 10
"""Below this a buyer is told how many are left: a reason to hurry that is true."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing a form got wrong; `field` is the id of its input, or None when it is about all of it."""

    field: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Policy:
    """When money goes back, in words: the product's own rule in one line, then all that holds."""

    title: str
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, policy: RefundPolicy, language: Language, *, version: str | None = None) -> Policy:
        """The words of a policy, as they are shown before and after it is agreed to; of the version that was."""
        words = telling.POLICY.get(version or POLICY_VERSION, telling.POLICY[POLICY_VERSION])
        told = words.rules[policy]
        return cls(language.text(told.title), tuple(language.text(one) for one in (*told.sentences, *words.always)))


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
    policy: Policy
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
    policy: Policy
    ways: list[Way]
    channel: str | None
    agreed: bool
    policy_version: str
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


_MARKS: dict[Mark, tuple[str, str]] = {
    Mark.REPLACED: (marked("已换新"), "warn"),
    Mark.REFUNDING: (marked("退款中"), "warn"),
    Mark.REFUNDED: (marked("已退款"), ""),
}


@dataclass(frozen=True, slots=True)
class KeyCard:
    """One delivered key: its place in the order, its number, where it has one, and its secret.

    `mark` and `tone` say what became of it: replaced by another one, or its money gone back.
    """

    n: int
    number: KeyText | None
    secret: KeyText
    mark: str = ""
    tone: str = ""

    @classmethod
    def of(cls, card: Card, n: int = 1, *, mark: Mark | None = None, language: Language | None = None) -> KeyCard:
        """The card as it is shown."""
        words, tone = _MARKS[mark] if mark else ("", "")
        return cls(
            n=n,
            number=KeyText(card.number) if card.number else None,
            secret=KeyText(card.secret),
            mark=language.text(words) if language and words else words,
            tone=tone,
        )


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
class PayPanel:
    """How an unpaid order can be paid here, now. Of `url`, `qr` and `invoke` there is at least one when it is open.

    `opens` is what the button says, `scans` the app that reads the code; `wrong_place`: it was opened for another
    device, so this one should change it. `unrecognised`: WeChat did not say who this is.
    """

    channel: str
    channel_name: str
    ways: tuple[Way, ...]
    on_computer: bool = False
    inside_wechat: bool = False
    wrong_place: bool = False
    unrecognised: bool = False
    opens: str = ""
    scans: str = ""
    url: str | None = None
    qr: Markup | None = None
    invoke: str | None = None

    @property
    def others(self) -> tuple[Way, ...]:
        """The ways that the buyer may change to, and those that cannot be used just now."""
        return tuple(way for way in self.ways if way.code != self.channel or (self.wrong_place and way.usable))


@dataclass(frozen=True, slots=True)
class Note:
    """Something a page says beside its state, with where more is told."""

    heading: str
    sentence: str
    tone: str = ""
    icon: str = "alert"
    more_url: str | None = None


@dataclass(frozen=True, slots=True)
class OrderPage:
    """An order in one of its stages.

        identify                      WeChat must say who pays: `sheet`, its page leads there by itself
        opening, renew, choose, pay   it waits for money: `pay` says how
        sealed                        it is delivered, and nobody has seen the keys
        keys, notice                  the keys; what happened

    `seen` is what the page shows of the server's state; its script turns the page when that differs. `refreshes` counts
    the reloads of a browser without JavaScript. `back`: the buyer has come back from the channel.
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
    policy: Policy
    policy_version: str | None
    paid: Moment | None = None
    expires: Moment | None = None
    refreshes: int = 0
    back: bool = False
    sheet: bool = False
    seconds_left: int = 0
    pay: PayPanel | None = None
    explanation: str = ""
    tone: str = ""
    icon: str = "check"
    next_steps: tuple[str, ...] = ()
    can_ask: bool = False
    listens: bool = False
    again_url: str | None = None
    revealed: tuple[RevealedKeys, ...] = ()
    refunds: tuple[RefundStory, ...] = ()
    notes: tuple[Note, ...] = ()
    may_ask: bool = False
    link: str = ""

    @property
    def refresh_seconds(self) -> int:
        """Without JavaScript the page asks again after 3 seconds, later 5, later 10."""
        return 3 if self.refreshes < 5 else 5 if self.refreshes < 12 else 10

    @property
    def refresh_url(self) -> str:
        """Where it asks again."""
        return f"/o/{self.code}?{'back=1&' if self.back else ''}n={self.refreshes + 1}"

    @property
    def key_count(self) -> int:
        """How many keys are shown."""
        return sum(len(line.keys) for line in self.revealed)

    @property
    def look_alikes(self) -> tuple[str, ...]:
        """The characters to tell apart, of the kinds that are in a key: 0 and O, or 1, I and l."""
        cards = [card for line in self.revealed for card in line.keys]
        texts = "".join(text.raw for card in cards for text in (card.number, card.secret) if text)
        return tuple(char for kind in ("0O", "1Il") if set(kind) & set(texts) for char in kind)

    @property
    def is_unpaid(self) -> bool:
        """Whether it waits for money and says how to give it."""
        return self.pay is not None

    @property
    def step(self) -> int | None:
        """Which of the four steps of buying this is, past all with the keys; None where nothing will be delivered."""
        if self.stage == "keys":
            return 5
        if self.paid is None:
            return 3
        return 4 if self.stage == "sealed" or self.can_ask else None


@dataclass(frozen=True, slots=True)
class RefundList:
    """The refunds of an order, newest first, and how its page is kept up to date."""

    code: str
    spoken: str
    seen: str
    waits: bool
    refunds: tuple[RefundStory, ...]
    may_ask: bool
    refreshes: int


def told(order: OrderPage, said: Telling, language: Language, *, again_url: str | None = None) -> OrderPage:
    """The page with what its state has to say, in the buyer's language."""
    return replace(
        order,
        heading=language.text(said.heading),
        explanation=language.text(said.explanation),
        tone=said.tone,
        icon=said.icon,
        next_steps=tuple(language.text(step) for step in said.next_steps),
        waits=said.waits,
        can_ask=said.can_ask,
        listens=said.listens,
        again_url=again_url if said.may_buy_again else None,
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
