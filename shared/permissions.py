"""Who may do what. The server enforces it, the console greys out by it. Permissions are `area:thing:verb`."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """Alphabetical, independent of roles."""

    CATALOG_CATEGORY_EDIT = "catalog:category:edit"
    CATALOG_PRODUCT_EDIT = "catalog:product:edit"
    CATALOG_PRODUCT_PUBLISH = "catalog:product:publish"
    CATALOG_PRODUCT_READ = "catalog:product:read"
    IDENTITY_USER_EDIT = "identity:user:edit"
    IDENTITY_USER_READ = "identity:user:read"
    LEDGER_ADJUSTMENT_EDIT = "ledger:adjustment:edit"
    LEDGER_JOURNAL_READ = "ledger:journal:read"
    ORDERS_ORDER_READ = "orders:order:read"
    PAYMENTS_CHANNEL_READ = "payments:channel:read"
    PAYMENTS_CHANNEL_SWITCH = "payments:channel:switch"
    PAYMENTS_EXCEPTION_HANDLE = "payments:exception:handle"
    PAYMENTS_EXCEPTION_READ = "payments:exception:read"
    PAYMENTS_REFUND_ANSWER = "payments:refund:answer"
    PAYMENTS_REFUND_CHECK = "payments:refund:check"
    PAYMENTS_REFUND_DECIDE = "payments:refund:decide"
    PAYMENTS_REFUND_READ = "payments:refund:read"
    RECONCILE_BILL_ADD = "reconcile:bill:add"
    RECONCILE_DAY_READ = "reconcile:day:read"
    RECONCILE_DAY_SIGN = "reconcile:day:sign"
    RECONCILE_DIFFERENCE_HANDLE = "reconcile:difference:handle"
    REPORTS_DAY_EXPORT = "reports:day:export"
    SETTLEMENT_HOLD_EDIT = "settlement:hold:edit"
    SETTLEMENT_PAYOUT_CHECK = "settlement:payout:check"
    SETTLEMENT_PAYOUT_MAKE = "settlement:payout:make"
    SETTLEMENT_STATEMENT_MAKE = "settlement:statement:make"
    SETTLEMENT_STATEMENT_READ = "settlement:statement:read"
    SETTLEMENT_TERMS_EDIT = "settlement:terms:edit"
    STOCK_ALERT_EDIT = "stock:alert:edit"
    STOCK_ALERT_READ = "stock:alert:read"
    STOCK_IMPORT_CREATE = "stock:import:create"
    STOCK_LOT_EDIT = "stock:lot:edit"
    STOCK_LOT_READ = "stock:lot:read"
    STOCK_UNIT_READ = "stock:unit:read"
    STOCK_UNIT_REVEAL = "stock:unit:reveal"
    SYNC_FEED_READ = "sync:feed:read"


LABELS: dict[Permission, tuple[str, str]] = {
    Permission.CATALOG_CATEGORY_EDIT: ("编辑分类", "edit categories"),
    Permission.CATALOG_PRODUCT_EDIT: ("编辑商品", "edit products"),
    Permission.CATALOG_PRODUCT_PUBLISH: ("上架与下架商品", "publish products"),
    Permission.CATALOG_PRODUCT_READ: ("查看商品", "see products"),
    Permission.IDENTITY_USER_EDIT: ("管理账号", "manage people"),
    Permission.IDENTITY_USER_READ: ("查看账号", "see people"),
    Permission.LEDGER_ADJUSTMENT_EDIT: ("手工调账", "adjust the ledger"),
    Permission.LEDGER_JOURNAL_READ: ("查看账簿", "see the ledger"),
    Permission.ORDERS_ORDER_READ: ("查看订单", "see orders"),
    Permission.PAYMENTS_CHANNEL_READ: ("查看支付渠道", "see payment channels"),
    Permission.PAYMENTS_CHANNEL_SWITCH: ("启用与停用支付渠道", "switch payment channels"),
    Permission.PAYMENTS_EXCEPTION_HANDLE: ("处理异常款项", "handle payment exceptions"),
    Permission.PAYMENTS_EXCEPTION_READ: ("查看异常款项", "see payment exceptions"),
    Permission.PAYMENTS_REFUND_ANSWER: ("答复退款申请", "answer refund requests"),
    Permission.PAYMENTS_REFUND_CHECK: ("复核退款", "check refunds"),
    Permission.PAYMENTS_REFUND_DECIDE: ("裁定退款", "decide refunds"),
    Permission.PAYMENTS_REFUND_READ: ("查看退款", "see refunds"),
    Permission.RECONCILE_BILL_ADD: ("导入渠道账单", "add bills of channels"),
    Permission.RECONCILE_DAY_READ: ("查看对账", "see reconciliations"),
    Permission.RECONCILE_DAY_SIGN: ("签署日结", "sign a day"),
    Permission.RECONCILE_DIFFERENCE_HANDLE: ("处理对账差异", "handle differences"),
    Permission.REPORTS_DAY_EXPORT: ("导出对账单", "export the day's workbook"),
    Permission.SETTLEMENT_HOLD_EDIT: ("暂缓与放行结算", "hold and let go what is to be settled"),
    Permission.SETTLEMENT_PAYOUT_CHECK: ("复核打款", "check payouts"),
    Permission.SETTLEMENT_PAYOUT_MAKE: ("发起打款", "make payouts"),
    Permission.SETTLEMENT_STATEMENT_MAKE: ("生成结算单", "make statements"),
    Permission.SETTLEMENT_STATEMENT_READ: ("查看结算单", "see statements"),
    Permission.SETTLEMENT_TERMS_EDIT: ("设置结算条件", "set terms of settlement"),
    Permission.STOCK_ALERT_EDIT: ("设置库存预警", "set stock alerts"),
    Permission.STOCK_ALERT_READ: ("查看库存预警", "see stock alerts"),
    Permission.STOCK_IMPORT_CREATE: ("导入卡密", "import card keys"),
    Permission.STOCK_LOT_EDIT: ("冻结、撤回与作废库存", "freeze, withdraw and void stock"),
    Permission.STOCK_LOT_READ: ("查看库存", "see stock"),
    Permission.STOCK_UNIT_READ: ("查看单张库存", "see single units"),
    Permission.STOCK_UNIT_REVEAL: ("查看卡密明文", "reveal a card key"),
    Permission.SYNC_FEED_READ: ("同步数据", "sync"),
}


def label(permission: str, language: str = "zh") -> str:
    """What a person calls a right; an unknown one, of a newer server, stays as it is."""
    known = {right.value: words for right, words in LABELS.items()}.get(permission)
    return permission if known is None else known[language.startswith("en")]


class Role(StrEnum):
    """What a person is here. A user has one role."""

    ADMIN = "admin"
    OPERATOR = "operator"
    FINANCE = "finance"
    SUPPLIER = "supplier"


P = Permission

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    # Everything but a supplier's own word, which nobody gives in its name.
    Role.ADMIN: frozenset(Permission) - {P.PAYMENTS_REFUND_ANSWER},
    Role.OPERATOR: frozenset(
        {
            P.CATALOG_CATEGORY_EDIT,
            P.CATALOG_PRODUCT_EDIT,
            P.CATALOG_PRODUCT_PUBLISH,
            P.CATALOG_PRODUCT_READ,
            P.IDENTITY_USER_READ,
            P.ORDERS_ORDER_READ,
            P.PAYMENTS_CHANNEL_READ,
            P.PAYMENTS_CHANNEL_SWITCH,
            P.PAYMENTS_EXCEPTION_HANDLE,
            P.PAYMENTS_EXCEPTION_READ,
            P.PAYMENTS_REFUND_DECIDE,
            P.PAYMENTS_REFUND_READ,
            P.SETTLEMENT_HOLD_EDIT,
            P.STOCK_ALERT_EDIT,
            P.STOCK_ALERT_READ,
            P.STOCK_LOT_EDIT,
            P.STOCK_LOT_READ,
            P.STOCK_UNIT_READ,
            P.STOCK_UNIT_REVEAL,
            P.SYNC_FEED_READ,
        }
    ),
    # Finance sees money and orders, never cards: no permission of the stock area but the lot's counts.
    Role.FINANCE: frozenset(
        {
            P.CATALOG_PRODUCT_READ,
            P.LEDGER_ADJUSTMENT_EDIT,
            P.LEDGER_JOURNAL_READ,
            P.ORDERS_ORDER_READ,
            P.PAYMENTS_CHANNEL_READ,
            P.PAYMENTS_EXCEPTION_HANDLE,
            P.PAYMENTS_EXCEPTION_READ,
            P.PAYMENTS_REFUND_CHECK,
            P.PAYMENTS_REFUND_READ,
            P.RECONCILE_BILL_ADD,
            P.RECONCILE_DAY_READ,
            P.RECONCILE_DAY_SIGN,
            P.RECONCILE_DIFFERENCE_HANDLE,
            P.REPORTS_DAY_EXPORT,
            P.SETTLEMENT_HOLD_EDIT,
            P.SETTLEMENT_PAYOUT_CHECK,
            P.SETTLEMENT_PAYOUT_MAKE,
            P.SETTLEMENT_STATEMENT_MAKE,
            P.SETTLEMENT_STATEMENT_READ,
            P.SETTLEMENT_TERMS_EDIT,
            P.STOCK_LOT_READ,
            P.SYNC_FEED_READ,
        }
    ),
    # Suppliers see rows of their own only; the server narrows every select by supplier_id.
    Role.SUPPLIER: frozenset(
        {
            P.CATALOG_PRODUCT_EDIT,
            P.CATALOG_PRODUCT_READ,
            P.ORDERS_ORDER_READ,
            P.PAYMENTS_REFUND_ANSWER,
            P.PAYMENTS_REFUND_READ,
            P.SETTLEMENT_STATEMENT_READ,
            P.STOCK_ALERT_EDIT,
            P.STOCK_ALERT_READ,
            P.STOCK_IMPORT_CREATE,
            P.STOCK_LOT_EDIT,
            P.STOCK_LOT_READ,
            P.STOCK_UNIT_READ,
            P.SYNC_FEED_READ,
        }
    ),
}


def allows(role: Role, permission: Permission) -> bool:
    """Whether a person of `role` has the right, scope aside."""
    return permission in ROLE_PERMISSIONS[role]
