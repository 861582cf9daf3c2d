"""What tests of stock alerts say and ask: rules, products, and every alert there ever was."""

from sqlalchemy import func, select

from server.audit import AuditEvent
from server.catalog import actions as catalog
from server.catalog.model import Product
from server.changes import ChangeLog
from server.policy import SYSTEM
from server.stock import alerts
from server.stock.model import StockAlert
from shared.contracts.alerts import AlertRule
from shared.contracts.catalog import ChangeRules, KeyRule, MoveProduct, SellingRule

OFF = {"below": None, "cover_days": None, "expiring_days": None}


def rule(shop, sku, **rules):
    terms = shop.skus[sku]
    with shop.ctx.db.tx() as tx:
        alerts.change_rule(tx, terms.sku_id, AlertRule(**(OFF | rules)), supplier_id=terms.supplier_id, who=SYSTEM)


def history(shop, sku):
    """Every alert of a SKU in the order they were raised: kind, figure, whether it stands."""
    with shop.ctx.db.read() as tx:
        rows = tx.scalars(select(StockAlert).where(StockAlert.sku_id == shop.skus[sku].sku_id).order_by(StockAlert.id))
        return [(row.kind, row.figure, row.cleared_at is None) for row in rows]


def announced(shop):
    """How often the feed told of an alert, and to whom."""
    with shop.ctx.db.read() as tx:
        rows = tx.scalars(select(ChangeLog).where(ChangeLog.entity == "alert").order_by(ChangeLog.pos))
        return [(row.domain, row.supplier_id) for row in rows]


def product(shop, sku):
    with shop.ctx.db.read() as tx:
        row = tx.get(Product, shop.skus[sku].product_id)
        return row.state, row.emptied, row.version


def move(shop, sku, to):
    _, _, version = product(shop, sku)
    with shop.ctx.db.tx() as tx:
        catalog.move_product(tx, shop.skus[sku].product_id, MoveProduct(to=to, version=version), actor=SYSTEM)


def leaves_shelf(shop, sku):
    _, _, version = product(shop, sku)
    change = ChangeRules(version=version, key_rule=KeyRule(), selling=SellingRule(off_shelf_when_empty=True))
    with shop.ctx.db.tx() as tx:
        catalog.change_rules(tx, shop.skus[sku].product_id, change, actor=SYSTEM)
    shop.work()


def audited(shop, action):
    with shop.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(AuditEvent).where(AuditEvent.action.like(action)))


def ranked(shop):
    with shop.ctx.db.read() as tx:
        return alerts.ranked(tx, SYSTEM, after=None, limit=10).items
