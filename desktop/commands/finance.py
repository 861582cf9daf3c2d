"""The commands of settlement and of the ledger: see `desktop.commands.table`.

Nothing is done before the last button was pressed too.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication

from desktop.commands.command import Command
from shared.permissions import Permission

translate = QCoreApplication.translate

_READ, _MAKE = Permission.SETTLEMENT_STATEMENT_READ, Permission.SETTLEMENT_STATEMENT_MAKE
_TERMS = Permission.SETTLEMENT_TERMS_EDIT
_PAY, _CHECK = Permission.SETTLEMENT_PAYOUT_MAKE, Permission.SETTLEMENT_PAYOUT_CHECK


def _one(name: str, title: Callable[[], str], key: str, icon: str, permission: Permission) -> Command:
    return Command(name, title, "settlement", keys=(key,), permission=permission, icon=icon)


SETTLEMENT: tuple[Command, ...] = (
    _one("settlement.show_statements", lambda: translate("Commands", "看结算单"), "Alt+1", "file", _READ),
    _one("settlement.show_due", lambda: translate("Commands", "看应结"), "Alt+2", "calendar", _READ),
    _one("settlement.show_payouts", lambda: translate("Commands", "看打款"), "Alt+3", "export", _READ),
    _one(
        "settlement.show_holds",
        lambda: translate("Commands", "看暂缓"),
        "Alt+4",
        "lock",
        Permission.SETTLEMENT_HOLD_EDIT,
    ),
    _one("settlement.show_terms", lambda: translate("Commands", "看结算条件"), "Alt+5", "file", _TERMS),
    _one("settlement.show_fee_rules", lambda: translate("Commands", "看费率规则"), "Alt+6", "settlement", _TERMS),
    _one("settlement.show_holidays", lambda: translate("Commands", "看工作日历"), "Alt+7", "calendar", _TERMS),
    _one("terms.edit", lambda: translate("Commands", "修改供应商的结算条件…"), "E", "settlement", _TERMS),
    _one("fee_rule.add", lambda: translate("Commands", "新增费率规则…"), "N", "plus", _TERMS),
    _one("holiday.enter", lambda: translate("Commands", "录入假日或调休…"), "Insert", "plus", _TERMS),
    _one(
        "hold.free",
        lambda: translate("Commands", "放行暂缓的结算"),
        "U",
        "check",
        Permission.SETTLEMENT_HOLD_EDIT,
    ),
    _one("due.make", lambda: translate("Commands", "生成今天的结算单"), "Ctrl+Return", "plus", _MAKE),
    _one(
        "due.make_some", lambda: translate("Commands", "只给所选供应商生成结算单"), "Ctrl+Shift+Return", "plus", _MAKE
    ),
    _one(
        "due.hold",
        lambda: translate("Commands", "暂缓所选订单或供应商的结算"),
        "H",
        "lock",
        Permission.SETTLEMENT_HOLD_EDIT,
    ),
    _one("due.brought", lambda: translate("Commands", "看应结的上期结转从哪里来"), "B", "back", _READ),
    _one("settlement.pick_all", lambda: translate("Commands", "选择筛选出的全部"), "Ctrl+A", "check", _READ),
    _one("statement.confirm", lambda: translate("Commands", "确认结算单"), "A", "check", _MAKE),
    _one("statement.drop", lambda: translate("Commands", "作废结算单"), "X", "close", _MAKE),
    _one("statement.pay", lambda: translate("Commands", "对结算单发起打款"), "P", "export", _PAY),
    _one("statement.lines", lambda: translate("Commands", "查看结算明细"), "L", "file", _READ),
    _one("statement.brought", lambda: translate("Commands", "看上期结转从哪里来"), "B", "back", _READ),
    _one("statement.export", lambda: translate("Commands", "导出结算明细…"), "Ctrl+S", "export", _READ),
    _one("statement.back", lambda: translate("Commands", "返回结算单列表"), "Backspace", "back", _READ),
    _one("statement.open_payout", lambda: translate("Commands", "查看这张结算单的打款"), "G", "export", _READ),
    _one("statement.open_order", lambda: translate("Commands", "查看这行明细的订单"), "O", "order", _READ),
    _one("payout.approve", lambda: translate("Commands", "打款复核通过"), "A", "check", _CHECK),
    _one("payout.refuse", lambda: translate("Commands", "打款复核不通过"), "R", "close", _CHECK),
    _one("payout.send", lambda: translate("Commands", "提交打款"), "S", "export", _PAY),
    _one("payout.confirm", lambda: translate("Commands", "确认打款到账"), "C", "check", _PAY),
    _one("payout.fail", lambda: translate("Commands", "登记打款失败或退汇"), "F", "alert", _PAY),
    _one("payout.withdraw", lambda: translate("Commands", "撤回打款"), "W", "back", _PAY),
    _one("payout.export", lambda: translate("Commands", "导出打款指令"), "Ctrl+S", "export", _PAY),
    _one("payout.results", lambda: translate("Commands", "导入打款结果…"), "Ctrl+Shift+O", "import", _PAY),
)

_BOOKS, _EDIT = Permission.LEDGER_JOURNAL_READ, Permission.LEDGER_ADJUSTMENT_EDIT


def _book(name: str, title: Callable[[], str], key: str, icon: str, permission: Permission = _BOOKS) -> Command:
    return Command(name, title, "ledger", keys=(key,), permission=permission, icon=icon)


LEDGER: tuple[Command, ...] = (
    _book("ledger.show_accounts", lambda: translate("Commands", "看账户"), "Alt+1", "ledger"),
    _book("ledger.show_journals", lambda: translate("Commands", "看分录"), "Alt+2", "file"),
    _book("ledger.show_adjustments", lambda: translate("Commands", "看调账"), "Alt+3", "reconcile"),
    _book("ledger.show_disputes", lambda: translate("Commands", "看争议"), "Alt+4", "alert"),
    _book("ledger.show_closings", lambda: translate("Commands", "看账户的每日结余"), "D", "calendar"),
    _book("adjustment.propose", lambda: translate("Commands", "提出调账…"), "Ctrl+Shift+N", "plus", _EDIT),
    _book("adjustment.post", lambda: translate("Commands", "调账复核通过并入账"), "A", "check", _EDIT),
    _book("adjustment.refuse", lambda: translate("Commands", "调账复核不通过"), "R", "close", _EDIT),
    _book("adjustment.withdraw", lambda: translate("Commands", "撤回调账"), "W", "back", _EDIT),
    _book("dispute.open", lambda: translate("Commands", "登记争议…"), "Ctrl+Shift+N", "plus", _EDIT),
    _book("dispute.won", lambda: translate("Commands", "登记争议胜诉"), "A", "check", _EDIT),
    _book("dispute.lost", lambda: translate("Commands", "登记争议败诉"), "R", "close", _EDIT),
)
