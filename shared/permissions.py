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
    LEDGER_JOURNAL_READ = "ledger:journal:read"
    ORDERS_ORDER_READ = "orders:order:read"
    PAYMENTS_EXCEPTION_READ = "payments:exception:read"
    REPORTS_DAY_EXPORT = "reports:day:export"
    STOCK_IMPORT_CREATE = "stock:import:create"
    STOCK_LOT_READ = "stock:lot:read"
    STOCK_UNIT_READ = "stock:unit:read"
    SYNC_FEED_READ = "sync:feed:read"


class Role(StrEnum):
    """What a person is here. A user has one role."""

    ADMIN = "admin"
    OPERATOR = "operator"
    FINANCE = "finance"
    SUPPLIER = "supplier"


P = Permission

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(
        {
            P.CATALOG_CATEGORY_EDIT,
            P.CATALOG_PRODUCT_EDIT,
            P.CATALOG_PRODUCT_PUBLISH,
            P.CATALOG_PRODUCT_READ,
            P.IDENTITY_USER_READ,
            P.ORDERS_ORDER_READ,
            P.PAYMENTS_EXCEPTION_READ,
            P.STOCK_LOT_READ,
            P.STOCK_UNIT_READ,
            P.SYNC_FEED_READ,
        }
    ),
    # Finance sees money and orders, never cards: no permission of the stock area but the lot's counts.
    Role.FINANCE: frozenset(
        {
            P.CATALOG_PRODUCT_READ,
            P.LEDGER_JOURNAL_READ,
            P.ORDERS_ORDER_READ,
            P.PAYMENTS_EXCEPTION_READ,
            P.REPORTS_DAY_EXPORT,
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
            P.STOCK_IMPORT_CREATE,
            P.STOCK_LOT_READ,
            P.STOCK_UNIT_READ,
            P.SYNC_FEED_READ,
        }
    ),
}


def allows(role: Role, permission: Permission) -> bool:
    """Whether a person of `role` has the right, scope aside."""
    return permission in ROLE_PERMISSIONS[role]
