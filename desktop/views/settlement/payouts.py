"""The payouts: the list, the one in front with what the bank has to be told, and the bank's answers from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from desktop.presenters import formats, payout_acts
from desktop.presenters.payouts import STATES, Payouts, taken_before
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.listing import FeedView
from desktop.views.reconciliation.asking import AskFile, AskTarget, OpenFolder, open_folder
from desktop.views.settlement.asking import choose_results, choose_table
from desktop.views.settlement.payout import PayoutPanel
from desktop.views.settlement.results import ResultsCard
from desktop.widgets.basics import Notice, button, column
from desktop.widgets.words import counted, sentence, state_word
from shared import clock
from shared.contracts.settlement import Payout

_COMMANDS = {
    "payout.approve": payout_acts.APPROVE,
    "payout.refuse": payout_acts.REFUSE,
    "payout.send": payout_acts.SEND,
    "payout.confirm": payout_acts.ARRIVED,
    "payout.fail": payout_acts.FAIL,
    "payout.withdraw": payout_acts.WITHDRAW,
}


class PayoutsPage(CasesPage):
    """See the file's head. `ask_...` and `show_folder` reach out of the window; tests answer them."""

    def __init__(
        self,
        presenter: Payouts,
        *,
        ask_target: AskTarget = choose_table,
        ask_file: AskFile = choose_results,
        show_folder: OpenFolder = open_folder,
    ) -> None:
        super().__init__("payouts", presenter)
        self.presenter = presenter
        self._ask_target, self._ask_file, self._show_folder = ask_target, ask_file, show_folder
        self.say(self.subtitle.setText, self._purpose)
        self._tools()
        self._chips = [self.chip() for _state in STATES]
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.clicked.connect(lambda _checked=False, state=state: presenter.show(state=state))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("打款列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="payouts",
            empty=self._empty_words,
            key=lambda one: one.id,
        )
        panel, bar = PayoutPanel(presenter), ActBar(presenter.acting)
        panel.body.addWidget(bar)
        panel.export_wanted.connect(self.export_one)
        for command, key in _COMMANDS.items():
            self.handle_act(command, key)
        self.handle("payout.export", self.export, when=lambda: bool(presenter.to_carry) and not presenter.exporting)
        self.handle("payout.results", self.choose_results, when=lambda: presenter.may_make)
        self.build(shown, panel, bar)
        self.let_pick("settlement.pick_all")

    def _tools(self) -> None:
        presenter = self.presenter
        self.take_results = button(icon_name="import")
        self.say(self.take_results.setText, lambda: self.tr("导入结果"))
        self.take_results.clicked.connect(self.choose_results)
        self.export_button = button(icon_name="export")
        self.say(self.export_button.setText, lambda: self.tr("导出指令"))
        self.export_button.clicked.connect(self.export)
        for at, press in enumerate((self.take_results, self.export_button)):
            self.tools.insertWidget(at, press)
            press.setVisible(presenter.may_make)
        self.done = Notice()
        self._folder = button(icon_name="folder")
        self.say(self._folder.setText, lambda: self.tr("打开所在文件夹"))
        self._folder.clicked.connect(self._open_written)
        self.carry = button(role="primary", icon_name="export")
        self.say(self.carry.setText, lambda: self.tr("导出指令…"))
        self.carry.clicked.connect(self.export_sent)
        self.done.buttons.addWidget(self.carry)
        self.done.buttons.addWidget(self._folder)
        self.results = ResultsCard(presenter.results)
        above = column(gap=8, margins=(24, 0, 24, 8))
        above.addWidget(self.done)
        above.addWidget(self.results)
        self.body.insertLayout(0, above)

    # --- files ---

    def export_one(self) -> None:
        """Ask where, and write the instruction of the payout in front."""
        if self.presenter.opened is not None:
            self._export([self.presenter.opened])

    def export_sent(self) -> None:
        """Ask where, and write the instructions of those that were sent just now."""
        self._export(self.presenter.sent)

    def export(self) -> None:
        """Ask where, and write the instructions of what is picked, of those just sent, or of the one in front."""
        self._export(self.presenter.to_carry)

    def _export(self, some: Sequence[Payout]) -> None:
        name = some[0].number if len(some) == 1 else f"kameng-payouts-{clock.shop_day(clock.now())}"
        target = self._ask_target(self, f"{name}.xlsx")
        if target is not None:
            self.presenter.export(target, some)

    def choose_results(self) -> None:
        """Ask for a result file and read it."""
        file = self._ask_file(self)
        if file is not None:
            self.take_file(file)

    def take_file(self, file: Path) -> None:
        """Read a result file."""
        self.presenter.take_results(file)

    def take_files(self, files: Sequence[Path]) -> None:
        """Read what was dropped. A file is taken in whole or not at all, so there is one in hand at a time."""
        if len(files) > 1:
            words = self.tr("一次导入一份打款结果，先读“{name}”")
            self.told.emit(words.format(name=files[0].name), "info")
        self.take_file(files[0])

    def _open_written(self) -> None:
        if self.presenter.exported is not None:
            self._show_folder(self.presenter.exported.path.parent)

    # --- what is shown ---

    def look(self) -> None:
        presenter = self.presenter
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.setText(self.tr("全部") if state is None else state_word(state))
            chip.setChecked(state is presenter.state)
        self.export_button.setEnabled(bool(presenter.to_carry) and not presenter.exporting)
        self._folder.setVisible(presenter.exported is not None)
        self.carry.setVisible(bool(presenter.sent) and presenter.exported is None)
        self.carry.setEnabled(not presenter.exporting)
        self._tell_done()
        waits = self.tr("所选打款在等另一位同事复核。") if presenter.picked else self.tr("这笔打款在等另一位同事复核。")
        self.bar.tell(waits if presenter.waits_for_second else "")
        super().look()

    def _tell_done(self) -> None:
        """What was written, or is to be written and carried now."""
        presenter = self.presenter
        if presenter.export_error is not None:
            self.done.tell(sentence(presenter.export_error), tone="danger")
        elif presenter.exported is not None:
            carried = presenter.exported
            words = self.tr("已写入 {path}，共 {n} 行指令。请交给银行或渠道；它们的结果文件拖进窗口即可导入。")
            told = words.format(path=carried.path, n=formats.count(carried.rows))
            if carried.again:
                number = len(carried.again)
                again = self.tr("其中 %n 笔打款的指令之前导出过（{before}），请勿重复提交。", None, number)
                told = f"{counted(again, number).format(before=taken_before(carried))}\n{told}"
            self.done.tell(told, tone="warning" if carried.again else "success")
        elif presenter.sent:
            words = self.tr("%n 笔打款已提交，共 {amount}。请导出指令，交给银行或渠道。", None, len(presenter.sent))
            amount = formats.money(sum(one.amount_fen for one in presenter.sent))
            self.done.tell(counted(words, len(presenter.sent)).format(amount=amount), tone="info")
        else:
            self.done.tell("")

    def _purpose(self) -> str:
        if self.presenter.is_supplier:
            return self.tr("店铺打给您的每一笔款，到账没有、流水号是多少")
        return self.tr("一人发起、另一人复核；提交后导出指令，再导入结果")

    def _titles(self) -> list[str]:
        return [
            self.tr("打款单号"),
            self.tr("供应商"),
            self.tr("金额"),
            self.tr("状态"),
            self.tr("实际到账"),
            self.tr("结算单"),
            self.tr("流水号"),
            self.tr("发起人"),
            self.tr("发起时间"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.state is not None:
            return self.tr("没有这种状态的打款"), self.tr("换个状态看看。")
        if self.presenter.is_supplier:
            return self.tr("还没有打款"), self.tr("结算单确认之后，店铺会发起打款。")
        return self.tr("还没有打款"), self.tr("在“结算单”里对已确认的结算单发起打款。")
