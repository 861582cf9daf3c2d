"""The commands of the reconciliation workbench: see `desktop.commands.table`.

Letters are those of the exceptions where they mean the same. Nothing is done before the last button was pressed too.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication

from desktop.commands.command import Command
from shared.permissions import Permission

translate = QCoreApplication.translate


def _day(name: str, title: Callable[[], str], keys: tuple[str, ...], icon: str, permission: Permission) -> Command:
    return Command(name, title, "reconcile", keys=keys, permission=permission, icon=icon)


def _difference(
    name: str,
    title: Callable[[], str],
    key: str,
    icon: str,
    permission: Permission = Permission.RECONCILE_DIFFERENCE_HANDLE,
) -> Command:
    return Command(f"difference.{name}", title, "difference", keys=(key,), permission=permission, icon=icon)


_EXPORT, _READ = Permission.REPORTS_DAY_EXPORT, Permission.RECONCILE_DAY_READ

RECONCILE: tuple[Command, ...] = (
    _day("day.previous", lambda: translate("Commands", "前一天"), ("Alt+Left",), "chevron-left", _EXPORT),
    _day("day.next", lambda: translate("Commands", "后一天"), ("Alt+Right",), "chevron-right", _EXPORT),
    _day("day.first_unsigned", lambda: translate("Commands", "去最早没有签署的一天"), ("Alt+Home",), "calendar", _READ),
    _day("day.previous_channel", lambda: translate("Commands", "上一个渠道"), ("Alt+Up",), "chevron-left", _READ),
    _day("day.next_channel", lambda: translate("Commands", "下一个渠道"), ("Alt+Down",), "chevron-right", _READ),
    _day("day.show_close", lambda: translate("Commands", "看日结"), ("Alt+1",), "calendar", _READ),
    _day("day.show_differences", lambda: translate("Commands", "看差异"), ("Alt+2",), "alert", _READ),
    _day("day.show_books", lambda: translate("Commands", "看当日账目"), ("Alt+3",), "reconcile", _READ),
    _day(
        "bill.add",
        lambda: translate("Commands", "添加渠道账单…"),
        ("Ctrl+Shift+O",),
        "plus",
        Permission.RECONCILE_BILL_ADD,
    ),
    _day(
        "day.fetch",
        lambda: translate("Commands", "向渠道获取缺少的账单"),
        ("Ctrl+B",),
        "cloud",
        Permission.RECONCILE_BILL_ADD,
    ),
    _day(
        "day.run",
        lambda: translate("Commands", "对账"),
        ("Ctrl+Return",),
        "reconcile",
        Permission.RECONCILE_DIFFERENCE_HANDLE,
    ),
    _day(
        "day.record_sweep",
        lambda: translate("Commands", "登记渠道结算到账…"),
        ("Ctrl+Shift+B",),
        "import",
        Permission.RECONCILE_DIFFERENCE_HANDLE,
    ),
    _day(
        "day.sign",
        lambda: translate("Commands", "签署当日对账…"),
        ("Ctrl+Shift+S",),
        "check",
        Permission.RECONCILE_DAY_SIGN,
    ),
    _day(
        "day.correct",
        lambda: translate("Commands", "更正已签署的一天…"),
        ("Ctrl+Shift+J",),
        "ledger",
        Permission.LEDGER_ADJUSTMENT_EDIT,
    ),
    _day("day.export", lambda: translate("Commands", "导出对账工作簿"), ("Ctrl+S",), "export", _EXPORT),
    _day("workbook.finance", lambda: translate("Commands", "导出财务工作簿…"), ("Ctrl+Shift+E",), "export", _READ),
    _day("workbook.verify", lambda: translate("Commands", "核验导出的工作簿…"), ("Ctrl+Shift+K",), "search", _EXPORT),
    _difference("approve", lambda: translate("Commands", "同意这条差异的处理"), "A", "check"),
    _difference("send_back", lambda: translate("Commands", "退回这条差异的处理"), "R", "back"),
    _difference("deliver", lambda: translate("Commands", "查单后给这笔钱补单发货"), "D", "stock"),
    _difference("refund", lambda: translate("Commands", "退还这条差异的钱"), "F", "refund"),
    _difference("attach", lambda: translate("Commands", "把这条差异的钱归入订单"), "G", "order"),
    _difference("book", lambda: translate("Commands", "按渠道账单调账"), "B", "reconcile"),
    _difference("carry", lambda: translate("Commands", "把这条差异挂账"), "C", "calendar"),
    _difference("write_off", lambda: translate("Commands", "核销这条差异"), "W", "minus"),
    _difference("ignore", lambda: translate("Commands", "忽略这条差异"), "X", "close"),
    _difference("pick_all", lambda: translate("Commands", "选择筛选出的全部差异"), "Ctrl+A", "check"),
    _difference("open_order", lambda: translate("Commands", "查看这条差异的订单"), "O", "order", _READ),
    _difference("open_exception", lambda: translate("Commands", "查看这条差异的异常款项"), "E", "alert", _READ),
)
