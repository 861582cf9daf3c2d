"""What a channel's day comes to, on cards. Written anew whenever the day is another one or has changed."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.operations.reconciliation_days import Bank
from desktop.presenters import formats
from desktop.presenters.days import identity, lines, signed
from desktop.presenters.words import party_words, tone
from desktop.views.reconciliation.bank import Arrived, Waiting
from desktop.views.reconciliation.figures import at_right, titled_card, verdict
from desktop.views.side import add_fact, facts, link
from desktop.widgets.basics import Badge, Card, Glyph, Notice, button, column, label, restyle, row, rule
from desktop.widgets.live import Live
from desktop.widgets.words import counted, state_word
from shared.contracts.reconcile import Balance, BillFile, BillTotal, Correction, ReconciledDay, Signature


class DayContent(Live, QWidget):
    """See the file's head.

    Signals:
        kind_wanted(kind): the person wants to see the differences of this kind.
        files_wanted(): the person wants to choose bills.
        correction_wanted(id): the person wants to see a correction of the signed day.
        act_wanted(key): the person is about to do something about money that arrived.
        day_wanted(day): the person wants to see another day.
    """

    kind_wanted = Signal(object)
    files_wanted = Signal()
    correction_wanted = Signal(object)
    act_wanted = Signal(str)
    day_wanted = Signal(object)

    def __init__(self, day: ReconciledDay, bank: Bank | None) -> None:
        super().__init__()
        self.setProperty("role", "page")
        layout = column(self, gap=12, margins=(24, 2, 24, 16))
        if day.trouble is not None:
            trouble = Notice()
            layout.addWidget(trouble)
            trouble.tell(day.trouble, tone="danger")
        if day.signature is not None:
            layout.addWidget(self._signature(day.signature, day))
        if day.corrections:
            layout.addWidget(self._corrections(day.corrections))
        both = row(gap=12)
        left, right = column(gap=12), column(gap=12)
        left.addWidget(self._sides(day))
        if day.balance is not None:
            left.addWidget(self._balance(day.balance))
        if bank is not None:
            waiting = Waiting(day, bank)
            waiting.act_wanted.connect(self.act_wanted)
            waiting.day_wanted.connect(self.day_wanted)
            left.addWidget(waiting)
        left.addStretch(1)
        right.addWidget(self._kinds(day))
        right.addWidget(self._bills(day))
        arrived = Arrived(day, bank)
        arrived.act_wanted.connect(self.act_wanted)
        right.addWidget(arrived)
        right.addStretch(1)
        both.addLayout(left, 1)
        both.addLayout(right, 1)
        layout.addLayout(both)
        layout.addStretch(1)

    def _sides(self, day: ReconciledDay) -> Card:
        card, grid = titled_card(self.tr("两边的数"))
        for at, words in enumerate((self.tr("平台"), self.tr("渠道账单"), self.tr("差")), 1):
            grid.addWidget(at_right(words, role="muted"), 0, at)
        names = {
            "payments": self.tr("收款笔数"),
            "payments_fen": self.tr("收款金额"),
            "refunds": self.tr("退款笔数"),
            "refunds_fen": self.tr("退款金额"),
            "fees_fen": self.tr("手续费"),
            "settled_fen": self.tr("入账金额（不含商户券）"),
        }
        for at, line in enumerate(lines(day), 1):
            grid.addWidget(label(names[line.key], role="muted"), at, 0)
            grid.addWidget(at_right(line.ours), at, 1)
            grid.addWidget(at_right(line.theirs), at, 2)
            off = at_right(line.off_by)
            restyle(off, "tone", "" if line.holds else "danger")
            grid.addWidget(off, at, 3)
        card.body.addWidget(rule())
        words = counted(self.tr("已对上 %n 笔，合计 {money}", None, day.matched), day.matched)
        told = words.format(money=formats.money(day.matched_fen))
        if day.date_shifts:
            told += " · " + self.tr("其中跨日 %n 笔", None, day.date_shifts)
        card.body.addWidget(label(told, wrap=True))
        when = formats.moment(day.run_at) if day.run_at is not None else self.tr("还没有对账")
        card.body.addWidget(label(self.tr("最近一次对账：{when}").format(when=when), role="caption"))
        return card

    def _kinds(self, day: ReconciledDay) -> Card:
        card, grid = titled_card(self.tr("差异"))
        if not day.differences:
            words = self.tr("没有差异") if day.run_at is not None else self.tr("对账后在这里列出")
            card.body.addWidget(label(words, role="muted"))
            return card
        grid.setVerticalSpacing(0)
        for at, words in enumerate((self.tr("未处理"), self.tr("已处理"), self.tr("未处理金额")), 1):
            grid.addWidget(at_right(words, role="muted"), 0, at)
        for at, kind in enumerate(day.differences, 1):
            name = state_word(kind.kind)
            go = button(name, role="link", name=self.tr("查看差异：{kind}").format(kind=name))
            go.clicked.connect(partial(self.kind_wanted.emit, kind.kind))
            grid.addWidget(go, at, 0, Qt.AlignmentFlag.AlignLeft)
            waiting = at_right(formats.count(kind.open))
            restyle(waiting, "tone", "danger" if kind.open else "")
            grid.addWidget(waiting, at, 1)
            grid.addWidget(at_right(formats.count(kind.closed)), at, 2)
            grid.addWidget(at_right(formats.money(kind.open_fen)), at, 3)
        if day.closed_themselves:
            words = self.tr("其中 %n 条自动配平，最近一次 {when}", None, day.closed_themselves)
            told = counted(words, day.closed_themselves).format(when=formats.moment(day.closed_themselves_at))
            card.body.addWidget(label(told, role="caption"))
        return card

    def _balance(self, balance: Balance) -> Card:
        card, grid = titled_card(self.tr("资金账单余额恒等式"))
        names = {
            "opening_fen": self.tr("期初余额"),
            "receipts_fen": self.tr("收款"),
            "refunds_fen": self.tr("退款"),
            "fees_fen": self.tr("手续费"),
            "fees_returned_fen": self.tr("退回手续费"),
            "withdrawals_fen": self.tr("提现"),
            "others_fen": self.tr("其他"),
            "closing_fen": self.tr("期末余额"),
        }
        for at, (key, text) in enumerate(identity(balance)):
            grid.addWidget(label(names[key], role="muted"), at, 0)
            grid.addWidget(at_right(text), at, 1)
        holds = balance.off_by_fen == 0
        words = (
            self.tr("逐项相加等于期末余额，一分不差")
            if holds
            else self.tr("逐项相加与期末余额差 {off}").format(off=signed(balance.off_by_fen))
        )
        card.body.addLayout(verdict(words, holds=holds))
        return card

    def _corrections(self, corrections: list[Correction]) -> Card:
        """What was found wrong after the day was signed, and what was posted for it."""
        card, _grid = titled_card(self.tr("签署之后的更正"))
        for one in corrections:
            words = self.tr("{who} 于 {when} 提出：{reason}，渠道待到账 {money}")
            told = words.format(
                who=party_words(one.proposed_by),
                when=formats.moment(one.proposed_at),
                reason=one.reason,
                money=signed(one.psp_fen),
            )
            line = _line("reconcile", "muted", told)
            state = Badge()
            state.show_word(state_word(one.state), tone=tone(one.state))
            line.addWidget(state)
            line.addWidget(link(self.tr("查看调账"), partial(self.correction_wanted.emit, one.id)))
            card.body.addLayout(line)
        return card

    def _bills(self, day: ReconciledDay) -> Card:
        card, _grid = titled_card(self.tr("账单"))
        for bill in day.bills:
            if bill.is_current or bill.is_late:
                self._bill(card.body, bill)
        for kind in day.missing:
            line = _line("alert", "warning", self.tr("缺{bill}").format(bill=state_word(kind)))
            card.body.addLayout(line)
        choose = button(self.tr("选择账单文件…"), role="link")
        choose.clicked.connect(self.files_wanted)
        if day.signature is None:
            foot = row()
            foot.addWidget(choose)
            foot.addStretch(1)
            card.body.addLayout(foot)
        return card

    def _bill(self, layout: QVBoxLayout, bill: BillFile) -> None:
        if bill.source == "none":
            words = self.tr("{bill}：渠道说这一天没有账单").format(bill=state_word(bill.kind))
            layout.addLayout(_line("check", "success", words))
            return
        holds = all(total.printed == total.read for total in bill.totals)
        rows = counted(self.tr("%n 行", None, bill.rows), bill.rows)
        words = f"{state_word(bill.kind)} · {rows} · {formats.size(bill.bytes)}"
        line = _line("check" if holds else "alert", "success" if holds else "danger", words)
        came = self.tr("自动获取") if bill.source == "fetched" else self.tr("手工导入")
        line.addWidget(Badge(came))
        layout.addLayout(line)
        if bill.is_late:
            words = self.tr("签署之后才到，不改变已签署的数字；与它不同的会成为下一个未签日子的差异")
            layout.addWidget(label(words, role="warning", wrap=True))
        name = label(bill.name, role="caption", wrap=True, selectable=True)
        name.setToolTip(f"SHA-1 {bill.sha1}\nSHA-256 {bill.sha256}")
        layout.addWidget(name)
        for total in bill.totals:
            if total.printed != total.read:
                words = self.tr("{name}：账单印 {printed}，逐行相加 {read}")
                told = words.format(
                    name=total.name, printed=_total(total, total.printed), read=_total(total, total.read)
                )
                layout.addWidget(label(told, role="error", wrap=True))
        if holds and bill.totals:
            checked = self.tr("%n 项合计与逐行相加一致", None, len(bill.totals))
            layout.addWidget(label(checked, role="caption", wrap=True))

    def _signature(self, signature: Signature, day: ReconciledDay) -> Card:
        card, _grid = titled_card(self.tr("已签署"))
        words = self.tr("{who} 于 {when} 签署，应结净额 {net}")
        told = words.format(
            who=signature.signed_by, when=formats.moment(signature.signed_at), net=formats.money(day.net_fen)
        )
        card.body.addLayout(_line("lock", "success", told))
        table = facts()
        if signature.without:
            missing = "、".join(state_word(kind) for kind in signature.without)
            add_fact(table, self.tr("未含"), self.tr("{bills}：按设置，这个渠道不出").format(bills=missing))
        if signature.note:
            add_fact(table, self.tr("备注"), signature.note)
        for name, value in (
            (self.tr("输入指纹（账单与平台账）"), signature.inputs_sha256),
            (self.tr("结果指纹（数字、匹配与差异）"), signature.outputs_sha256),
        ):
            add_fact(table, name, value, is_code=True)
        card.body.addLayout(table)
        card.body.addWidget(
            label(self.tr("当日不可再改；发现错误时点“更正”，由两人记一笔今天的调账。"), role="caption")
        )
        return card


def _total(total: BillTotal, number: int) -> str:
    return formats.money(number) if total.is_amount else formats.count(number)


def _line(drawn: str, tint: str, words: str) -> QHBoxLayout:
    line = row(gap=8)
    line.addWidget(Glyph(drawn, tint=tint, size=16))
    line.addWidget(label(words, wrap=True), 1)
    return line
