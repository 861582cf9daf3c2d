"""The commands of the stock and of its alerts: see `desktop.commands.table`."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from desktop.commands.command import Command
from shared.permissions import Permission

translate = QCoreApplication.translate

STOCK: tuple[Command, ...] = (
    Command(
        "stock.find_keys",
        lambda: translate("Commands", "按卡密查找库存"),
        "stock",
        keys=("Ctrl+Shift+K",),
        permission=Permission.STOCK_UNIT_READ,
        icon="search",
    ),
    Command(
        "stock.import_here",
        lambda: translate("Commands", "导入到所选规格"),
        "stock",
        keys=("Ctrl+I",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="import",
    ),
    Command(
        "stock.set_alerts",
        lambda: translate("Commands", "设置所选规格的预警规则"),
        "stock",
        keys=("Ctrl+Shift+A",),
        permission=Permission.STOCK_ALERT_EDIT,
        icon="bell",
    ),
    Command(
        "lot.freeze",
        lambda: translate("Commands", "冻结所选批次"),
        "stock",
        keys=("Ctrl+Shift+F",),
        permission=Permission.STOCK_LOT_EDIT,
        icon="lock",
    ),
    Command(
        "lot.release",
        lambda: translate("Commands", "解冻所选批次"),
        "stock",
        keys=("Ctrl+Shift+U",),
        permission=Permission.STOCK_LOT_EDIT,
        icon="check",
    ),
    Command(
        "lot.withdraw",
        lambda: translate("Commands", "撤回所选批次"),
        "stock",
        keys=("Ctrl+Shift+W",),
        permission=Permission.STOCK_LOT_EDIT,
        icon="minus",
    ),
    Command(
        "lot.withdraw_import",
        lambda: translate("Commands", "撤回整个文件"),
        "stock",
        permission=Permission.STOCK_LOT_EDIT,
        icon="file",
    ),
    Command(
        "lot.copy_id",
        lambda: translate("Commands", "复制所选批次的编号"),
        "stock",
        keys=("Ctrl+Shift+C",),
        permission=Permission.STOCK_LOT_READ,
        icon="paste",
    ),
    Command(
        "unit.void",
        lambda: translate("Commands", "作废所选卡密"),
        "stock",
        keys=("Del",),
        permission=Permission.STOCK_LOT_EDIT,
        icon="close",
    ),
    Command(
        "unit.reveal",
        lambda: translate("Commands", "查看所选卡密的明文"),
        "stock",
        keys=("Ctrl+Shift+S",),
        permission=Permission.STOCK_UNIT_REVEAL,
        icon="eye",
    ),
    Command(
        "alert.open_sku",
        lambda: translate("Commands", "查看预警规格的库存"),
        "alert",
        keys=("Ctrl+Return",),
        permission=Permission.STOCK_ALERT_READ,
        icon="stock",
    ),
    Command(
        "alert.import_now",
        lambda: translate("Commands", "为预警规格补货"),
        "alert",
        keys=("Ctrl+I",),
        permission=Permission.STOCK_IMPORT_CREATE,
        icon="import",
    ),
    Command(
        "alert.set_rule",
        lambda: translate("Commands", "修改预警规则"),
        "alert",
        keys=("Ctrl+Shift+A",),
        permission=Permission.STOCK_ALERT_EDIT,
        icon="bell",
    ),
    Command(
        "alert.clear",
        lambda: translate("Commands", "标记预警已处理"),
        "alert",
        keys=("Ctrl+D",),
        permission=Permission.STOCK_ALERT_EDIT,
        icon="check",
    ),
)
