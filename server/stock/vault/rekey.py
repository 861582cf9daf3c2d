"""New keys for lots: wrapping data keys with another master key, and sealing cards anew under another data key.

Both go in short transactions and can stop at any moment: every row says under which key it is, so that running again
finishes what was left. Re-encryption seals the cards of a lot by number; `resealed_to` is where it stands, and moves
with the cards it tells of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update

from server import audit, changes
from server.catalog import queries as catalog
from server.crypto import CardUnreadable, KeyRing, LotKey
from server.db import Tx, rows_changed, table_of
from server.stock.model import CardSecret, StockCursor, StockImport, StockLot
from shared.errors import Conflict, KamengError
from shared.states import ImportState, LotState

LOTS_PER_STEP = 200
CARDS_PER_STEP = 5_000
_LOT, _CARD = table_of(StockLot), table_of(CardSecret)


class MasterMissing(KamengError):
    """Lots are wrapped by a master key that the ring does not have."""

    code = "master_missing"
    status = 500
    zh = "密钥环中没有主密钥 {versions}，但仍有批次使用它。请恢复最新的密钥环，不要继续。"
    en = "The key ring lacks master key {versions}, which lots still use. Restore the newest ring before going on."


class MasterInUse(Conflict):
    """A master key that something is still wrapped by."""

    code = "master_in_use"
    zh = "主密钥 {version} 仍被 {lots} 个批次使用。请先运行 kameng-server keys rotate。"
    en = "Master key {version} is still used by {lots} lots; run `kameng-server keys rotate` first."


class LotImporting(Conflict):
    """Keys are still being stored into the lot, under its present data key."""

    code = "lot_importing"
    zh = "批次 {lot} 仍在导入，完成后再重新加密。"
    en = "Lot {lot} is still being imported; re-encrypt it when that is done."


class LotUnreadable(KamengError):
    """The data key of a lot does not open."""

    code = "lot_unreadable"
    status = 500
    zh = "批次 {lot} 的数据密钥无法打开：数据行被改动，或密钥环不对。"
    en = "The data key of lot {lot} does not open: its row was changed, or the key ring is another one."


class CardsDamaged(KamengError):
    """Cards of a lot do not open in their place; the old key is kept until somebody decides."""

    code = "cards_damaged"
    status = 500
    zh = "批次 {lot} 中编号 {seqs} 的卡密无法打开，已停止。请从备份恢复，或加 --skip-damaged 跳过（跳过后无法恢复）。"
    en = (
        "In lot {lot} the keys {seqs} do not open, so it stopped. Restore them from a backup, or leave them behind "
        "for good with --skip-damaged."
    )


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """One step of wrapping anew: how many lots, which of them did not open, and the last one looked at."""

    lots: int
    unreadable: list[UUID]
    last: UUID | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A lot under re-encryption: `done` of `cards` are under its next key."""

    lot_id: UUID
    sku: str
    number: int
    cards: int
    done: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which lots a command is about."""

    lot_id: UUID | None = None
    sku_id: UUID | None = None
    master: int | None = None

    def lots(self) -> list[ColumnElement[bool]]:
        """What their rows satisfy."""
        if self.lot_id is not None:
            return [StockLot.id == self.lot_id]
        if self.sku_id is not None:
            return [StockLot.sku_id == self.sku_id]
        if self.master is not None:
            return [or_(StockLot.master_version == self.master, StockLot.next_master_version == self.master)]
        return []


# --- master keys ---


def lots_by_master(tx: Tx) -> dict[int, int]:
    """How many lots need each master key. A lot under re-encryption may need two."""
    counts: Counter[int] = Counter()
    for column in (StockLot.master_version, StockLot.next_master_version):
        query = select(column, func.count()).where(column.is_not(None)).group_by(column)
        counts.update({version: count for version, count in tx.execute(query) if version is not None})
    return dict(counts)


def require_masters(tx: Tx, keys: KeyRing) -> dict[int, int]:
    """The same, for a ring that has them all. Raises MasterMissing: a new version must not take an old one's name."""
    used = lots_by_master(tx)
    unknown = sorted(used.keys() - set(keys.masters))
    if unknown:
        raise MasterMissing(versions=", ".join(map(str, unknown)))
    return used


def forget_master(tx: Tx, version: int, *, actor: str) -> None:
    """Note that a master key is dropped. Raises MasterInUse while any lot is wrapped by it."""
    lots = lots_by_master(tx).get(version, 0)
    if lots:
        raise MasterInUse(version=version, lots=lots)
    audit.append(tx, actor=actor, action="keys.forget", entity="key_ring", entity_id=str(version))


def note_master(tx: Tx, version: int, *, active: bool, actor: str) -> None:
    """Note that a master key is about to be made, or to become the active one."""
    action = "keys.activate" if active else "keys.prepare"
    audit.append(tx, actor=actor, action=action, entity="key_ring", entity_id=str(version))


def count_to_rewrap(tx: Tx, keys: KeyRing) -> int:
    """How many lots have a key that another master than the active one wraps."""
    return tx.scalar(select(func.count()).select_from(StockLot).where(_wrapped_otherwise(keys.active_master))) or 0


def _wrapped_otherwise(active: int) -> ColumnElement[bool]:
    return or_(StockLot.master_version != active, StockLot.next_master_version != active)


def rewrap(tx: Tx, keys: KeyRing, *, after: UUID | None, actor: str) -> Rewrapped:
    """Wrap the keys of the next lots after `after` with the active master key; no card is touched."""
    query = select(StockLot).where(_wrapped_otherwise(keys.active_master)).order_by(StockLot.id)
    if after is not None:
        query = query.where(StockLot.id > after)
    lots = tx.scalars(query.limit(LOTS_PER_STEP).with_for_update()).all()
    rows, unreadable = [], []
    for lot in lots:
        try:
            now = keys.rewrap(lot.id, LotKey(lot.wrapped_key, lot.master_version))
            later = _next_key(lot)
            new = keys.rewrap(lot.id, later) if later else None
        except CardUnreadable:
            unreadable.append(lot.id)
            continue
        rows.append(
            {
                "lot": lot.id,
                "wrapped": now.wrapped,
                "master": now.master_version,
                "next_wrapped": new.wrapped if new else None,
                "next_master": new.master_version if new else None,
            }
        )
    if rows:
        tx.connection().execute(_REWRAP, rows)
        detail = {"lots": len(rows)}
        entity_id = str(keys.active_master)
        audit.append(tx, actor=actor, action="keys.rewrap", entity="key_ring", entity_id=entity_id, detail=detail)
    return Rewrapped(lots=len(rows), unreadable=unreadable, last=lots[-1].id if lots else None)


_REWRAP = (
    update(_LOT)
    .where(_LOT.c.id == bindparam("lot"))
    .values(
        wrapped_key=bindparam("wrapped"),
        master_version=bindparam("master"),
        next_wrapped_key=bindparam("next_wrapped"),
        next_master_version=bindparam("next_master"),
    )
)


def _next_key(lot: StockLot) -> LotKey | None:
    if lot.next_wrapped_key is None or lot.next_master_version is None:
        return None
    return LotKey(lot.next_wrapped_key, lot.next_master_version)


# --- data keys ---


@dataclass(frozen=True, slots=True)
class Kept:
    """A lot as the operator of the server names it."""

    lot_id: UUID
    number: int
    master: int
    cards: int
    file_name: str


def lots_of(tx: Tx, sku_id: UUID) -> list[Kept]:
    """The lots of a SKU by number, with the master key that wraps the key of each."""
    query = select(StockLot, StockCursor.imported).join(StockCursor, StockCursor.lot_id == StockLot.id)
    return [
        Kept(lot.id, lot.number, lot.master_version, imported // lot.uses, lot.file_name)
        for lot, imported in tx.execute(query.where(StockLot.sku_id == sku_id).order_by(StockLot.number))
    ]


def lot_exists(tx: Tx, lot_id: UUID) -> bool:
    """Whether there is such a lot."""
    return tx.get(StockLot, lot_id) is not None


def under_way(tx: Tx, chosen: Chosen) -> list[Progress]:
    """The lots among the chosen ones that are half under a new key, oldest first."""
    query = (
        select(StockLot, StockCursor.imported)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(StockLot.next_wrapped_key.is_not(None), *chosen.lots())
        .order_by(StockLot.id)
    )
    found = tx.execute(query).all()
    codes = {row.sku_id: row.sku_code for row in catalog.sku_terms(tx, [lot.sku_id for lot, _ in found]).values()}
    return [
        Progress(
            lot_id=lot.id,
            sku=codes[lot.sku_id],
            number=lot.number,
            cards=imported // lot.uses,
            done=(lot.resealed_to or lot.first_seq) - lot.first_seq,
        )
        for lot, imported in found
    ]


def _has_arrived(lot: StockLot, importing: str | None) -> bool:
    """Whether all of a lot is here, or what is kept of it: while keys come in, they are sealed under its first key."""
    return importing in {None, ImportState.DONE} or lot.state == LotState.WITHDRAWN


def arriving(tx: Tx, chosen: Chosen) -> list[UUID]:
    """The chosen lots that are being imported: they cannot be sealed anew yet."""
    query = select(StockLot, StockImport.state).join(StockImport, StockImport.id == StockLot.import_id)
    rows = tx.execute(query.where(*chosen.lots()).order_by(StockLot.id))
    return [lot.id for lot, importing in rows if not _has_arrived(lot, importing)]


def begin(tx: Tx, keys: KeyRing, chosen: Chosen, *, actor: str) -> list[UUID]:
    """Give the chosen lots a next data key; answers those that are being imported and were left alone.

    Raises LotUnreadable when the present key of one does not open: nothing has changed then.
    """
    query = (
        select(StockLot, StockImport.state)
        .join(StockImport, StockImport.id == StockLot.import_id, isouter=True)
        .where(StockLot.next_wrapped_key.is_(None), *chosen.lots())
        .order_by(StockLot.id)
        .with_for_update(of=StockLot)
        .execution_options(populate_existing=True)
    )
    left = []
    for lot, state in tx.execute(query).all():
        if not _has_arrived(lot, state):
            left.append(lot.id)
            continue
        try:
            keys.lot(lot.id, LotKey(lot.wrapped_key, lot.master_version))
        except CardUnreadable:
            raise LotUnreadable(lot=lot.id) from None
        key = keys.new_lot_key(lot.id)
        lot.next_wrapped_key, lot.next_master_version, lot.resealed_to = key.wrapped, key.master_version, lot.first_seq
        _note(tx, lot, "lot.reencrypt", actor=actor)
    tx.flush()
    return left


def reseal(tx: Tx, keys: KeyRing, lot_id: UUID, *, skip_damaged: bool, actor: str) -> bool:
    """Seal the next cards of a lot under its next key, or finish; whether there may be more to do.

    Raises LotUnreadable, and CardsDamaged unless they may be skipped.
    """
    query = select(StockLot).where(StockLot.id == lot_id).with_for_update()
    lot = tx.scalars(query.execution_options(populate_existing=True)).first()
    key = _next_key(lot) if lot is not None else None
    if lot is None or key is None or lot.resealed_to is None:
        return False
    cards = tx.execute(
        select(CardSecret.seq, CardSecret.sealed)
        .where(
            CardSecret.sku_id == lot.sku_id,
            CardSecret.seq >= lot.resealed_to,
            CardSecret.seq < lot.first_seq + lot.stride,
        )
        .order_by(CardSecret.seq)
        .limit(CARDS_PER_STEP)
        .with_for_update()
    ).all()
    if not cards:
        lot.wrapped_key, lot.master_version = key.wrapped, key.master_version
        lot.next_wrapped_key = lot.next_master_version = lot.resealed_to = None
        tx.flush()
        _note(tx, lot, "lot.reencrypted", actor=actor)
        return False
    try:
        old, new = keys.lot(lot_id, LotKey(lot.wrapped_key, lot.master_version)), keys.lot(lot_id, key)
    except CardUnreadable:
        raise LotUnreadable(lot=lot_id) from None
    moved, damaged = new.reseal(old, lot.sku_id, [(card.seq, card.sealed) for card in cards])
    if damaged:
        if not skip_damaged:
            raise CardsDamaged(lot=lot_id, seqs=", ".join(map(str, damaged[:20])))
        _note(tx, lot, "lot.damaged", actor=actor, detail={"seqs": damaged})
    _store(tx, lot.sku_id, moved)
    lot.resealed_to = cards[-1].seq + 1
    tx.flush()
    return True


_RESEAL = (
    update(_CARD)
    .where(_CARD.c.sku_id == bindparam("sku"), _CARD.c.seq == bindparam("number"))
    .values(sealed=bindparam("fresh"))
)


def _store(tx: Tx, sku_id: UUID, moved: Sequence[tuple[int, bytes]]) -> None:
    if not moved:
        return
    rows = [{"sku": sku_id, "number": seq, "fresh": sealed} for seq, sealed in moved]
    if rows_changed(tx.connection().execute(_RESEAL, rows)) != len(rows):
        raise RuntimeError("cards that were locked are gone")


def _note(tx: Tx, lot: StockLot, action: str, *, actor: str, detail: dict[str, list[int]] | None = None) -> None:
    audit.append(tx, actor=actor, action=action, entity="lot", entity_id=str(lot.id), detail=detail)
    changes.append(tx, "sku", lot.sku_id, domain="stock", supplier_id=lot.supplier_id)
