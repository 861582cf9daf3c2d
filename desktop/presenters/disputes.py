"""Disputes: a complaint or chargeback at the channel freezes suppliers' shares until two people say how it ended."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import ledger
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.adjustments import NoAmount
from desktop.presenters.cases import Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.typed import typed_fen
from desktop.presenters.words import channel_word, in_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.ledger import Dispute
from shared.finance import DisputeState
from shared.ids import speak_order_code
from shared.labels import words_of
from shared.money import format_fen
from shared.permissions import Permission

STATES: tuple[DisputeState | None, ...] = (None, *DisputeState)
"""The filters, in this order; None is all."""

OPEN, WON, LOST = "open", "won", "lost"

FROZEN: Pair = ("已登记，份额已冻结", "Opened; the shares are frozen")
PROPOSED: Pair = ("已提议，等另一位同事说的一样", "Proposed; another person has to say the same")
ENDED: Pair = ("两位同事说的一样，争议结束", "Two people have said the same; the dispute is over")


def proposal(one: Dispute, *, words: Pair = ("{who} 提议：{end}", "{who} proposes: {end}")) -> str:
    """What one person says about its end, while another has to say the same; empty without."""
    if one.state is not DisputeState.OPENED or one.proposed_by is None or one.proposes_won is None:
        return ""
    end = word(DisputeState.WON if one.proposes_won else DisputeState.LOST)
    told = in_words(words).format(who=one.proposed_by, end=end)
    return f"{told} · {formats.money(one.fine_fen)}" if one.fine_fen else told


_SHORT: Pair = ("{who}：{end}", "{who}: {end}")


COLUMNS = (
    Column[Dispute]("code", lambda d: speak_order_code(d.order_code), code=True, sample="7K3M-9QX2-H4TD"),
    Column[Dispute]("reason", lambda d: d.reason, stretch=True, tip=lambda d: d.reason, sample="八个汉字的原因名"),
    Column[Dispute]("amount", lambda d: formats.money(d.amount_fen), numeric=True, sample="¥123,456.00"),
    Column[Dispute]("state", lambda d: word(d.state), tone=lambda d: tone(d.state), sample="已胜诉"),
    Column[Dispute](
        "proposal",
        lambda d: proposal(d, words=_SHORT) or "–",
        tip=proposal,
        sample="周洁：已败诉 · ¥300.00",
        spare=True,
    ),
    Column[Dispute]("channel", lambda d: channel_word(d.channel), sample="微信支付", spare=True),
    Column[Dispute](
        "at",
        lambda d: formats.short_moment(d.opened_at, today=shop_day(now())),
        tip=lambda d: formats.moment(d.opened_at),
        sample="03-02 10:00",
        spare=True,
    ),
)


def shares_of(one: Dispute) -> list[tuple[str, str]]:
    """Whose share of the amount is how much, and what of it could not be frozen."""
    lines = []
    for share in one.shares:
        words = in_words(("供应商份额 · {supplier}", "Share of {supplier}")).format(supplier=share.supplier)
        lines.append((words, formats.money(share.share_fen)))
        if share.frozen_fen < share.share_fen:
            paid = in_words(("其中已打款，未能冻结", "of it paid out before, not frozen"))
            lines.append((paid, formats.money(share.share_fen - share.frozen_fen)))
    return lines


def facts_of(one: Dispute) -> list[tuple[Pair, str]]:
    """What is known of it, and who said what."""
    facts: list[tuple[Pair, str]] = [
        (("渠道", "Channel"), channel_word(one.channel)),
        (("渠道争议单号", "Channel's dispute number"), one.channel_no),
        (("原因", "Reason"), one.reason),
        (("罚款", "Fine"), formats.money(one.fine_fen) if one.fine_fen else ""),
        (("登记", "Opened"), f"{one.opened_by} {formats.moment(one.opened_at)}"),
        (("提议", "Proposed"), _said(proposal(one) or one.proposed_by, one.proposed_at)),
        (("提议说明", "Why proposed"), one.note),
        (("结束", "Closed"), _said(one.closed_by, one.closed_at)),
        (("结束说明", "Why closed"), one.closed_note),
    ]
    return [(words, value) for words, value in facts if value]


def _said(what: str | None, at: datetime | None) -> str:
    """Who said it, and when where that is known; empty of nobody."""
    return " ".join(part for part in (what, formats.moment(at) if at else "") if part)


class Disputes(Cases[Dispute]):
    """The state of the list, of the one in front, and of one that is opened.

    Attributes:
        state: the state that the list shows; None is all.
        opening: the act of opening one.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.LEDGER_JOURNAL_READ in may)
        self.may_edit = Permission.LEDGER_ADJUSTMENT_EDIT in may
        self._name = person.name
        self.state: DisputeState | None = None
        self.opening: Acting[Dispute] = Acting(ask, self.look_into, lambda: None)

    def show(self, *, state: DisputeState | None) -> None:
        """Show the disputes of a state."""
        self.state = state
        self.feed.show(lambda engine, after: ledger.list_disputes(engine, state=state, after=after))
        self.changed()

    def show_list(self) -> None:
        self.show(state=self.state)

    def count_waiting(self) -> None:
        if self.may_see:
            state = DisputeState.OPENED
            self.waiting.show(lambda engine, after: ledger.list_disputes(engine, state=state, after=after))

    def waits(self, case: Dispute) -> bool:
        return bool(case.actions) and case.proposed_by != self._name

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Dispute]]]:
        return lambda engine: ledger.dispute(engine, case_id)

    def acts_of(self, case: Dispute) -> list[Act[Dispute]]:
        if "close" not in case.actions:
            return []
        ends = [_close(case, won=True), _close(case, won=False)]
        return ends[::-1] if case.proposes_won is False else ends

    # --- opening ---

    def open_new(self) -> None:
        """Be about to open one."""
        if self.may_edit:
            self.opening.offer([self._open()])
            self.opening.choose(OPEN)

    def _open(self) -> Act[Dispute]:
        def work(typed: Mapping[str, str]) -> Work[Dispute]:
            amount = typed_fen(typed["amount"])
            if not amount:
                raise NoAmount
            made = self.opening.attempt_id
            return lambda engine: ledger.open_dispute(
                engine,
                dispute_id=made,
                order_code=typed["order_code"],
                amount_fen=amount,
                channel_no=typed["channel_no"],
                reason=typed["reason"],
            )

        return Act(
            OPEN,
            ("登记争议", "Open a dispute"),
            (
                "供应商在这笔金额里的份额立即冻结，不会打款，直到争议结束。",
                "The suppliers' shares of the amount are frozen at once, until the dispute has ended.",
            ),
            FROZEN,
            work,
            (
                Entry("order_code", ("订单号（必填）", "Order code (needed)"), most=24),
                Entry("amount", ("争议金额（元，必填）", "Amount (yuan; needed)"), most=16),
                Entry("channel_no", ("渠道争议单号（必填）", "Channel's dispute number (needed)"), most=64),
                Entry("reason", ("原因（必填）", "Reason (needed)")),
            ),
            told=_frozen,
        )


def _paid_out(one: Dispute) -> int:
    return sum(share.share_fen - share.frozen_fen for share in one.shares)


def _frozen(made: Dispute) -> Pair:
    if paid := _paid_out(made):
        amount = formats.money(paid)
        return f"已登记；{amount} 已打款，未能冻结", f"Opened; {amount} had been paid out and is not frozen"
    return FROZEN


def _close(one: Dispute, *, won: bool) -> Act[Dispute]:
    end = words_of(DisputeState.WON if won else DisputeState.LOST)
    said = one.fine_fen if one.proposes_won is False else 0

    def work(typed: Mapping[str, str]) -> Work[Dispute]:
        fine = typed_fen(typed.get("fine", "")) or 0
        return lambda engine: ledger.close_dispute(engine, one, won=won, fine_fen=fine, note=typed["note"])

    back: Pair = ("冻结的份额退回原处", "the frozen shares go back where they were")
    gone: Pair = ("冻结的份额付给渠道", "the frozen shares go to the channel")
    if _paid_out(one):
        gone = gone[0] + "，已打款的由供应商欠着", gone[1] + ", and suppliers owe what had been paid out"
    zh, en = back if won else gone
    fine = Entry(
        "fine",
        ("渠道罚款（元，没有可不填）", "Fine (yuan; none if left out)"),
        needed=False,
        most=16,
        value=format_fen(said) if said else "",
    )
    return Act(
        WON if won else LOST,
        (f"登记{end[0]}", f"It is {end[1].lower()}"),
        (
            f"{zh}；需要两位同事说的一样（包括罚款），第二位说完才执行。",
            f"{en[0].upper()}{en[1:]}, once two people have said the same, the fine included.",
        ),
        PROPOSED,
        work,
        (*(() if won else (fine,)), Entry("note", ("说明（必填）", "Note (needed)"))),
        told=lambda answer: PROPOSED if answer.state is DisputeState.OPENED else ENDED,
    )
