"""What the pages of refunds show: the timeline of each, and the form that asks for one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from server.payments.refunds.images import Shown
from server.payments.refunds.queries import Story
from server.payments.refunds.rules import Verdict
from server.storefront import telling
from server.storefront.figures import Moment, Price
from server.storefront.language import Language, marked
from shared import clock
from shared.labels import label
from shared.states import RefundCause, RefundReason, RefundStep, RefundTurn


@dataclass(frozen=True, slots=True)
class RefundMoment:
    """One line of a timeline: when, what, and what that party said to the buyer."""

    at: Moment
    what: str
    note: str


@dataclass(frozen=True, slots=True)
class RefundStory:
    """One refund as its buyer reads it: where it stands, who has the ball and until when, and all that happened."""

    title: str
    amount: Price
    units: int
    heading: str
    explanation: str
    tone: str
    icon: str
    turn: str
    until: Moment | None
    is_late: bool
    steps: tuple[RefundMoment, ...]
    is_open: bool
    cause: RefundCause
    moves_money: bool
    images: tuple[Shown, ...]

    @classmethod
    def of(cls, story: Story, language: Language) -> RefundStory:
        """The story in the buyer's words. Accepted is never called refunded."""
        said = telling.REFUND[story.state]
        if story.is_replaced or story.is_stopped:
            said = telling.REPLACED if story.is_replaced else telling.STOPPED
        explanation = language.text(said.explanation)
        if story.trouble is not None:
            explanation = f"{label(story.trouble, language.code)}{explanation}"
        return cls(
            title=language.text(telling.CAUSE[story.cause]),
            amount=Price.of_fen(story.amount_fen),
            units=story.units,
            heading=language.text(said.heading),
            explanation=explanation,
            tone=said.tone,
            icon=said.icon,
            turn=_turn_words(story.turn, language) if story.turn else "",
            until=Moment.of(story.due_at) if story.due_at else None,
            is_late=story.due_at is not None and story.due_at < clock.now(),
            steps=tuple(
                RefundMoment(Moment.of(step.at), _step_words(step.what, language), step.note) for step in story.steps
            ),
            is_open=story.is_open,
            cause=story.cause,
            moves_money=not story.is_replaced,
            images=story.images,
        )


def _step_words(step: RefundStep, language: Language) -> str:
    return language.text(_STEP[step]) if step in _STEP else label(step, language.code)


def _turn_words(turn: RefundTurn, language: Language) -> str:
    return language.text(_TURN[turn]) if turn in _TURN else label(turn, language.code)


_STEP: dict[RefundStep, str] = {
    RefundStep.ASKED: marked("您提出了申请"),
    RefundStep.STARTED: marked("商家发起退款"),
    RefundStep.SUPPLIER_REFUSED: marked("供应商不同意，由商家裁定"),
    RefundStep.SILENT: marked("供应商未按时答复，由商家裁定"),
    RefundStep.REPLACED_BY_SHOP: marked("商家补发了新的卡密"),
    RefundStep.SHOP_APPROVED: marked("商家同意退款"),
    RefundStep.SHOP_REFUSED: marked("商家不同意退款"),
}
_TURN: dict[RefundTurn, str] = {RefundTurn.SHOP: marked("商家")}
"""What their buyer reads in other words than staff: to who buys, the shop is 商家."""


# --- asking ---

_WHAT_THEN: dict[Verdict, str] = {
    Verdict.APPROVE: marked("卡密还没有显示过：自动同意，马上原路退款"),
    Verdict.ASK_SUPPLIER: marked("由供应商在 24 小时内核实，补发或退款"),
    Verdict.REFUSE_SEEN: marked("卡密已经显示过，按退款规则不能退"),
    Verdict.REFUSE_NOT_DEFECT: marked("按退款规则，只有卡密有问题才能退"),
    Verdict.REFUSE_ALWAYS: marked("这件商品售出不退，下单时已经确认"),
}
"""What the rules that were agreed to will answer."""


@dataclass(frozen=True, slots=True)
class ReasonChoice:
    """One reason to ask for, with what comes of it. A refused one cannot be chosen."""

    code: str
    words: str
    what_then: str
    refused: bool
    chosen: bool


def reasons(
    verdicts: dict[RefundReason, Verdict], language: Language, *, chosen: str | None = None
) -> tuple[ReasonChoice, ...]:
    """All reasons, those that are refused last."""
    made = [
        ReasonChoice(
            code=reason.value,
            words=language.text(telling.REASON[reason]),
            what_then=language.text(_WHAT_THEN[verdict]),
            refused=verdict.is_refusal,
            chosen=reason.value == chosen and not verdict.is_refusal,
        )
        for reason, verdict in verdicts.items()
    ]
    return tuple(sorted(made, key=lambda reason: reason.refused))


@dataclass(frozen=True, slots=True)
class RefundForm:
    """What may be asked for now: which keys, by their places in the order, why, and what the buyer would like.

    `money` is offered beside a replacement; what is typed is kept.
    """

    code: str
    spoken: str
    title: str
    policy_title: str
    units: tuple[int, ...]
    picked: frozenset[int]
    reasons: tuple[ReasonChoice, ...]
    wish: str
    text: str
    longest_text: int

    @property
    def is_hopeless(self) -> bool:
        """Whether the rules refuse every reason."""
        return all(reason.refused for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class RefundRecap:
    """What the buyer is about to ask for, once more before it is sent."""

    code: str
    title: str
    units: tuple[int, ...]
    reason: ReasonChoice
    wish: str
    text: str
    amount: Price
    at_once: bool
    places: str
    most_photos: int
