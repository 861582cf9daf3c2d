"""The commands about exceptions, refunds and channels: see `desktop.commands.table`.

In a queue A says yes and R says no; nothing is done before the last button was pressed too.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from desktop.commands.command import Command
from shared.permissions import Permission

translate = QCoreApplication.translate

MONEY: tuple[Command, ...] = (
    Command(
        "exception.approve",
        lambda: translate("Commands", "同意这条异常的处理提议"),
        "exception",
        keys=("A",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="check",
    ),
    Command(
        "exception.send_back",
        lambda: translate("Commands", "退回或撤回处理提议"),
        "exception",
        keys=("R",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="back",
    ),
    Command(
        "exception.deliver",
        lambda: translate("Commands", "提议给这笔钱补发卡密"),
        "exception",
        keys=("D",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="stock",
    ),
    Command(
        "exception.refund",
        lambda: translate("Commands", "提议退还这笔钱"),
        "exception",
        keys=("F",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="refund",
    ),
    Command(
        "exception.attach",
        lambda: translate("Commands", "提议把这笔钱归入订单"),
        "exception",
        keys=("G",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="order",
    ),
    Command(
        "exception.ask_again",
        lambda: translate("Commands", "就这条异常再问一次渠道"),
        "exception",
        keys=("T",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="refresh",
    ),
    Command(
        "exception.confirm",
        lambda: translate("Commands", "提议确认这笔钱已到账"),
        "exception",
        keys=("C",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="check",
    ),
    Command(
        "exception.record",
        lambda: translate("Commands", "提议登记已在渠道退的款"),
        "exception",
        keys=("E",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="refund",
    ),
    Command(
        "exception.dismiss",
        lambda: translate("Commands", "关闭这条异常"),
        "exception",
        keys=("X",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="close",
    ),
    Command(
        "exception.open_order",
        lambda: translate("Commands", "查看这条异常的订单"),
        "exception",
        keys=("O",),
        permission=Permission.PAYMENTS_EXCEPTION_READ,
        icon="order",
    ),
    Command(
        "refund.mine",
        lambda: translate("Commands", "待我处理的退款"),
        "refund",
        keys=("M",),
        permission=Permission.PAYMENTS_REFUND_READ,
        icon="user",
    ),
    Command(
        "refund.agree",
        lambda: translate("Commands", "供应商同意退款"),
        "refund",
        keys=("A",),
        permission=Permission.PAYMENTS_REFUND_ANSWER,
        icon="check",
    ),
    Command(
        "refund.replace",
        lambda: translate("Commands", "供应商补发新卡密"),
        "refund",
        keys=("N",),
        permission=Permission.PAYMENTS_REFUND_ANSWER,
        icon="stock",
    ),
    Command(
        "refund.refuse",
        lambda: translate("Commands", "供应商不同意退款"),
        "refund",
        keys=("R",),
        permission=Permission.PAYMENTS_REFUND_ANSWER,
        icon="close",
    ),
    Command(
        "refund.approve",
        lambda: translate("Commands", "裁定退款"),
        "refund",
        keys=("A",),
        permission=Permission.PAYMENTS_REFUND_DECIDE,
        icon="check",
    ),
    Command(
        "refund.replace_by_shop",
        lambda: translate("Commands", "裁定补发新卡密"),
        "refund",
        keys=("N",),
        permission=Permission.PAYMENTS_REFUND_DECIDE,
        icon="stock",
    ),
    Command(
        "refund.decline",
        lambda: translate("Commands", "裁定不退款"),
        "refund",
        keys=("R",),
        permission=Permission.PAYMENTS_REFUND_DECIDE,
        icon="close",
    ),
    Command(
        "refund.check",
        lambda: translate("Commands", "退款复核通过"),
        "refund",
        keys=("A",),
        permission=Permission.PAYMENTS_REFUND_CHECK,
        icon="check",
    ),
    Command(
        "refund.stop",
        lambda: translate("Commands", "退款复核不通过"),
        "refund",
        keys=("R",),
        permission=Permission.PAYMENTS_REFUND_CHECK,
        icon="close",
    ),
    Command(
        "refund.retry",
        lambda: translate("Commands", "再次提交退款到渠道"),
        "refund",
        keys=("T",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="refresh",
    ),
    Command(
        "refund.open_order",
        lambda: translate("Commands", "查看这笔退款的订单"),
        "refund",
        keys=("O",),
        permission=Permission.PAYMENTS_REFUND_READ,
        icon="order",
    ),
    Command(
        "channel.switch",
        lambda: translate("Commands", "启用或停用所选支付渠道"),
        "channel",
        keys=("Ctrl+D",),
        permission=Permission.PAYMENTS_CHANNEL_SWITCH,
        icon="channel",
    ),
)
