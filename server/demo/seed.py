"""Fills a new shop with the demo's people, goods and keys, through the real actions and the real intake."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import string
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.context import Context
from server.crypto import seal_chunk
from server.demo.goods import CATEGORIES, GOODS, PEOPLE, SUPPLIERS, TERMS, Goods
from server.identity import actions as identity
from server.identity import passwords
from server.identity import queries as identity_queries
from server.policy import SYSTEM
from server.settlement import terms
from server.stock import alerts
from server.stock.imports import intake
from shared import clock, ids
from shared.contracts.alerts import AlertRule
from shared.contracts.catalog import KeyRule, MoveProduct, NewCategory, NewProduct, NewSku
from shared.contracts.stock import CommitImport, FileFigures, NewImport
from shared.states import ProductState

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def seed(ctx: Context, *, stock: bool = True) -> dict[str, str]:
    """Fill an empty shop; answers the passwords by login, which a 0600 file keeps. A filled one is left alone."""
    if is_seeded(ctx):
        kept = _sign_ins(ctx.settings.data)
        known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        return known
    given = {person.login: secrets.token_urlsafe(12) for person in PEOPLE}
    hashes = {login: passwords.hash_now(password) for login, password in given.items()}
    _write_private(_sign_ins(ctx.settings.data), json.dumps(given, indent=1))
    with ctx.db.tx() as tx:
        suppliers = {
            name: identity.create_supplier(tx, name=name, fee_ppm=fee_ppm, actor=SYSTEM.label)
            for name, fee_ppm in SUPPLIERS.items()
        }
        for person in PEOPLE:
            identity.create_user(
                tx,
                login=person.login,
                name=person.name,
                role=person.role,
                password_hash=hashes[person.login],
                supplier_id=suppliers[person.supplier] if person.supplier else None,
                actor=SYSTEM.label,
            )
        for name, agreed in TERMS.items():
            terms.change(tx, suppliers[name], agreed, actor=SYSTEM)
        for rank, (code, name) in enumerate(CATEGORIES):
            catalog.create_category(tx, NewCategory(code=code, name=name, rank=rank), actor=SYSTEM)
        for goods in GOODS:
            product = NewProduct(
                category=goods.category,
                code=goods.code,
                name=goods.name,
                summary=goods.summary,
                description=goods.description,
                picture=goods.picture,
                skus=[NewSku(code=code, name=name, unit_price=price) for code, name, price in goods.skus],
                key_rule=goods.key_rule,
                selling=goods.selling,
            )
            product_id = catalog.create_product(tx, product, supplier_id=suppliers[goods.supplier], actor=SYSTEM)
            catalog.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
    for goods in GOODS:
        for code, _, price in goods.skus:
            if stock and goods.batches:
                _stock(ctx, goods, code, cost=price * goods.cost_percent // 100)
            if goods.below is not None:
                _warn_below(ctx, code, goods.below)
    return given


def is_seeded(ctx: Context) -> bool:
    """Whether somebody can sign in already."""
    with ctx.db.read() as tx:
        return bool(identity_queries.users(tx, limit=1).items)


def made_up_keys(sku: str, count: int) -> list[str]:
    """Keys that look like keys: `GAME-7K3M-9QX2-H4TD-…`, each different."""
    return [f"{sku.split('-', maxsplit=1)[0]}-" + "-".join(_group() for _ in range(4)) for _ in range(count)]


def _group() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(4))


def _numbers(count: int, rule: KeyRule) -> list[str]:
    """Digits alone, with the check digit that the rule wants."""
    stems = (f"{secrets.randbelow(10 ** (rule.min_length - 1)):0{rule.min_length - 1}}" for _ in range(count))
    return [next(stem + last for last in string.digits if rule.pattern.fits(stem + last)) for stem in stems]


def _stock(ctx: Context, goods: Goods, sku: str, *, cost: int) -> None:
    """Bring a SKU's batches into stock by the same steps as a console's upload."""
    import_id, today = ids.new_id(), clock.shop_day(clock.now())
    lots = [(b.expires_in and (today + timedelta(days=b.expires_in)).isoformat(), cost, b.uses) for b in goods.batches]
    lot_of = [lot for lot, batch in enumerate(goods.batches) for _ in range(batch.keys)]
    digits = goods.key_rule.alphabet == string.digits
    keys = _numbers(len(lot_of), goods.key_rule) if digits else made_up_keys(sku, len(lot_of))
    rows = [(line, "", key, lot) for line, (key, lot) in enumerate(zip(keys, lot_of, strict=True), start=1)]
    packed = msgspec.msgpack.encode([lots, rows])
    sealed = seal_chunk(ctx.keys.import_public_key, packed, import_id=import_id, n=0)
    new = NewImport(id=import_id, sku=sku, file_name=f"{sku}.txt", key_id=ctx.keys.import_key_id)
    commit = CommitImport(
        figures=FileFigures(read=len(keys), valid=len(keys), duplicates=0, refused=0, skipped=0),
        file_sha256=hashlib.sha256(packed).hexdigest(),
        chunks=1,
        root_sha256=hashlib.sha256(hashlib.sha256(sealed).digest()).hexdigest(),
    )
    with ctx.db.tx() as tx:
        intake.declare(tx, ctx.keys, new, _shelf(ctx, sku), actor=SYSTEM.label)
        intake.receive(tx, import_id, intake.inspect(ctx.keys, import_id, 0, sealed))
        intake.commit(tx, import_id, commit, actor=SYSTEM.label)
    while ctx.jobs.run_due():
        pass


def _warn_below(ctx: Context, sku: str, units: int) -> None:
    shelf = _shelf(ctx, sku)
    with ctx.db.tx() as tx:
        alerts.change_rule(tx, shelf.sku_id, AlertRule(below=units), supplier_id=shelf.supplier_id, who=SYSTEM)


def _shelf(ctx: Context, sku: str) -> intake.Shelf:
    with ctx.db.read() as tx:
        terms = catalog_queries.sku_by_code(tx, sku)
    assert terms is not None, sku
    found: tuple[UUID, str, UUID, UUID] = (terms.sku_id, terms.sku_code, terms.product_id, terms.supplier_id)
    return intake.Shelf(*found)


def _sign_ins(data: Path) -> Path:
    return data / "demo-sign-ins.json"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
