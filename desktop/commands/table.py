"""The table of commands and of places. Ids are `noun.verb`, the same in the palette, in logs and in tests.

A command is enabled when the signed-in person has its permission and its handler says that there is something to do.
Single letters never fire inside a text field: Qt gives a field that takes text the first right to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from desktop.commands.command import Command
from desktop.commands.finance import LEDGER, SETTLEMENT
from desktop.commands.money import MONEY
from desktop.commands.reconcile import RECONCILE
from desktop.commands.stock import STOCK
from shared.permissions import Permission

translate = QCoreApplication.translate


@dataclass(frozen=True)
class Place:
    """One entry of the navigation, shown to those who have `permission`."""

    id: str
    title: Callable[[], str]
    icon: str
    permission: Permission
    command: str


ALL: tuple[Command, ...] = (
    Command(
        "place.imports",
        lambda: translate("Commands", "转到：导入卡密"),
        "go",
        keys=("Ctrl+1",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="import",
    ),
    Command(
        "place.products",
        lambda: translate("Commands", "转到：商品"),
        "go",
        keys=("Ctrl+2",),
        permission=Permission.CATALOG_PRODUCT_READ,
        icon="product",
    ),
    Command(
        "place.stock",
        lambda: translate("Commands", "转到：库存"),
        "go",
        keys=("Ctrl+3",),
        permission=Permission.STOCK_LOT_READ,
        icon="stock",
    ),
    Command(
        "place.alerts",
        lambda: translate("Commands", "转到：库存预警"),
        "go",
        keys=("Ctrl+4",),
        permission=Permission.STOCK_ALERT_READ,
        icon="bell",
    ),
    Command(
        "place.orders",
        lambda: translate("Commands", "转到：订单"),
        "go",
        keys=("Ctrl+5",),
        permission=Permission.ORDERS_ORDER_READ,
        icon="order",
    ),
    Command(
        "place.exceptions",
        lambda: translate("Commands", "转到：异常款项"),
        "go",
        keys=("Ctrl+6",),
        permission=Permission.PAYMENTS_EXCEPTION_READ,
        icon="alert",
    ),
    Command(
        "place.refunds",
        lambda: translate("Commands", "转到：退款"),
        "go",
        keys=("Ctrl+7",),
        permission=Permission.PAYMENTS_REFUND_READ,
        icon="refund",
    ),
    Command(
        "place.channels",
        lambda: translate("Commands", "转到：支付渠道"),
        "go",
        keys=("Ctrl+8",),
        permission=Permission.PAYMENTS_CHANNEL_READ,
        icon="channel",
    ),
    Command(
        "place.reconciliation",
        lambda: translate("Commands", "转到：对账"),
        "go",
        keys=("Ctrl+9",),
        permission=Permission.REPORTS_DAY_EXPORT,
        icon="reconcile",
    ),
    Command(
        "place.settlement",
        lambda: translate("Commands", "转到：结算"),
        "go",
        keys=("Ctrl+0",),
        permission=Permission.SETTLEMENT_STATEMENT_READ,
        icon="settlement",
    ),
    Command(
        "place.ledger",
        lambda: translate("Commands", "转到：账簿"),
        "go",
        keys=("Ctrl+L",),
        permission=Permission.LEDGER_JOURNAL_READ,
        icon="ledger",
    ),
    Command(
        "import.choose",
        lambda: translate("Commands", "选择文件导入…"),
        "import",
        keys=("Ctrl+O",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="folder",
    ),
    Command(
        "import.paste",
        lambda: translate("Commands", "粘贴卡密导入"),
        "import",
        keys=("Ctrl+Shift+V",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="paste",
    ),
    Command(
        "import.begin",
        lambda: translate("Commands", "开始导入"),
        "import",
        keys=("Ctrl+Return",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="import",
    ),
    Command(
        "import.switch_encoding",
        lambda: translate("Commands", "换一种编码预览"),
        "import",
        keys=("Ctrl+E",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="refresh",
    ),
    Command(
        "import.switch_separator",
        lambda: translate("Commands", "换一种分隔符预览"),
        "import",
        keys=("Ctrl+D",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="refresh",
    ),
    Command(
        "import.template",
        lambda: translate("Commands", "下载导入模板…"),
        "import",
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="export",
    ),
    Command(
        "import.cancel",
        lambda: translate("Commands", "取消导入"),
        "import",
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="close",
    ),
    Command(
        "import.export_refused",
        lambda: translate("Commands", "导出问题行"),
        "import",
        keys=("Ctrl+Shift+E",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="export",
    ),
    Command(
        "product.create",
        lambda: translate("Commands", "新建商品"),
        "product",
        keys=("Ctrl+N",),
        permission=Permission.CATALOG_PRODUCT_EDIT,
        icon="plus",
    ),
    Command(
        "product.publish",
        lambda: translate("Commands", "上架所选商品"),
        "product",
        keys=("Ctrl+Shift+P",),
        permission=Permission.CATALOG_PRODUCT_PUBLISH,
        icon="check",
    ),
    Command(
        "product.take_down",
        lambda: translate("Commands", "下架所选商品"),
        "product",
        keys=("Ctrl+Shift+D",),
        permission=Permission.CATALOG_PRODUCT_PUBLISH,
        icon="minus",
    ),
    Command(
        "product.change_rules",
        lambda: translate("Commands", "修改所选商品的卡密规则"),
        "product",
        keys=("Ctrl+R",),
        permission=Permission.CATALOG_PRODUCT_EDIT,
        icon="lock",
    ),
    *STOCK,
    Command(
        "order.copy_code",
        lambda: translate("Commands", "复制订单号"),
        "order",
        keys=("Ctrl+Shift+C",),
        permission=Permission.ORDERS_ORDER_READ,
        icon="order",
    ),
    Command(
        "order.ask",
        lambda: translate("Commands", "向渠道查询这张订单的付款"),
        "order",
        keys=("Ctrl+Shift+Q",),
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="refresh",
    ),
    Command(
        "order.confirm",
        lambda: translate("Commands", "提议确认这张订单已付款"),
        "order",
        permission=Permission.PAYMENTS_EXCEPTION_HANDLE,
        icon="check",
    ),
    Command(
        "order.refund",
        lambda: translate("Commands", "退还这张订单的钱"),
        "order",
        keys=("Ctrl+Shift+R",),
        permission=Permission.PAYMENTS_REFUND_DECIDE,
        icon="refund",
    ),
    Command(
        "order.hold",
        lambda: translate("Commands", "暂缓这张订单的结算"),
        "order",
        keys=("Ctrl+H",),
        permission=Permission.SETTLEMENT_HOLD_EDIT,
        icon="lock",
    ),
    *MONEY,
    *RECONCILE,
    *SETTLEMENT,
    *LEDGER,
    Command(
        "list.refresh",
        lambda: translate("Commands", "刷新"),
        "list",
        keys=("F5",),
        icon="refresh",
    ),
    Command(
        "list.find",
        lambda: translate("Commands", "筛选"),
        "list",
        keys=(
            "/",
            "Ctrl+F",
        ),
        icon="search",
    ),
    Command(
        "window.palette",
        lambda: translate("Commands", "命令面板"),
        "window",
        keys=("Ctrl+K",),
        icon="command",
        signed_in=False,
    ),
    Command(
        "window.keys",
        lambda: translate("Commands", "快捷键一览"),
        "window",
        keys=(
            "?",
            "F1",
        ),
        icon="keyboard",
        signed_in=False,
    ),
    Command(
        "window.theme_light",
        lambda: translate("Commands", "浅色主题"),
        "window",
        icon="sun",
        signed_in=False,
    ),
    Command(
        "window.theme_dark",
        lambda: translate("Commands", "深色主题"),
        "window",
        icon="moon",
        signed_in=False,
    ),
    Command(
        "window.theme_system",
        lambda: translate("Commands", "主题跟随系统"),
        "window",
        icon="display",
        signed_in=False,
    ),
    Command(
        "window.language_zh",
        lambda: translate("Commands", "切换到简体中文"),
        "window",
        icon="language",
        signed_in=False,
    ),
    Command(
        "window.language_en",
        lambda: translate("Commands", "切换到 English"),
        "window",
        icon="language",
        signed_in=False,
    ),
    Command(
        "session.end",
        lambda: translate("Commands", "退出登录"),
        "window",
        icon="sign-out",
    ),
    Command(
        "window.quit",
        lambda: translate("Commands", "退出卡盟"),
        "window",
        keys=("Ctrl+Q",),
        icon="close",
        signed_in=False,
    ),
)

BY_ID: dict[str, Command] = {command.id: command for command in ALL}

PLACES: tuple[Place, ...] = (
    Place("imports", lambda: translate("Places", "导入"), "import", Permission.STOCK_IMPORT_CREATE, "place.imports"),
    Place(
        "products", lambda: translate("Places", "商品"), "product", Permission.CATALOG_PRODUCT_READ, "place.products"
    ),
    Place("stock", lambda: translate("Places", "库存"), "stock", Permission.STOCK_LOT_READ, "place.stock"),
    Place("alerts", lambda: translate("Places", "库存预警"), "bell", Permission.STOCK_ALERT_READ, "place.alerts"),
    Place("orders", lambda: translate("Places", "订单"), "order", Permission.ORDERS_ORDER_READ, "place.orders"),
    Place(
        "exceptions",
        lambda: translate("Places", "异常款项"),
        "alert",
        Permission.PAYMENTS_EXCEPTION_READ,
        "place.exceptions",
    ),
    Place("refunds", lambda: translate("Places", "退款"), "refund", Permission.PAYMENTS_REFUND_READ, "place.refunds"),
    Place(
        "channels",
        lambda: translate("Places", "支付渠道"),
        "channel",
        Permission.PAYMENTS_CHANNEL_READ,
        "place.channels",
    ),
    Place(
        "reconciliation",
        lambda: translate("Places", "对账"),
        "reconcile",
        Permission.REPORTS_DAY_EXPORT,
        "place.reconciliation",
    ),
    Place(
        "settlement",
        lambda: translate("Places", "结算"),
        "settlement",
        Permission.SETTLEMENT_STATEMENT_READ,
        "place.settlement",
    ),
    Place("ledger", lambda: translate("Places", "账簿"), "ledger", Permission.LEDGER_JOURNAL_READ, "place.ledger"),
)


def title_of_group(group: str) -> str:
    """The heading of a group on the key sheet."""
    titles = {
        "go": translate("Commands", "去哪里"),
        "import": translate("Commands", "导入"),
        "product": translate("Commands", "商品"),
        "stock": translate("Commands", "库存"),
        "alert": translate("Commands", "库存预警"),
        "order": translate("Commands", "订单"),
        "exception": translate("Commands", "异常款项"),
        "refund": translate("Commands", "退款"),
        "channel": translate("Commands", "支付渠道"),
        "reconcile": translate("Commands", "对账"),
        "difference": translate("Commands", "差异"),
        "settlement": translate("Commands", "结算"),
        "ledger": translate("Commands", "账簿"),
        "list": translate("Commands", "列表"),
        "window": translate("Commands", "窗口"),
    }
    return titles[group]
