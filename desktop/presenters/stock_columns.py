"""The columns of the Stock screen's tables: SKUs, lots, units, and keys that were searched for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from desktop.presenters import formats
from desktop.presenters.listing import Column
from desktop.presenters.words import in_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.stock import Lot, SkuStock, Unit
from shared.states import UndoneReason

LOT_NUMBERS = 2**32
USE_STRIDE = 2**20
"""How unit numbers are given out: each lot has its own range; in it a reusable key's uses are so far apart, at most."""

_FIGURE, _SMALL = "1,234,567", "12,345"

WORKING = {
    "importing": ("正在入库", "Storing"),
    "withdrawing": ("正在撤回", "Withdrawing"),
    "reencrypting": ("正在换密钥", "Re-encrypting"),
}
"""What is being done to a lot; something newer shows its own name."""


def lot_name(number: int) -> str:
    """How people call a lot: the first is #1."""
    return f"#{number + 1}"


def unit_name(unit: Unit) -> str:
    """A unit's place in its lot: `#2-15`, and `#2-15×3` for the third use of a reusable key."""
    within = (unit.seq - 1) % LOT_NUMBERS
    if unit.uses > 1:
        use, key = divmod(within, min(USE_STRIDE, LOT_NUMBERS // unit.uses))
        return f"{lot_name(unit.lot)}-{formats.count(key + 1)}×{use + 1}"
    return f"{lot_name(unit.lot)}-{formats.count(within + 1)}"


def covered(tail: str) -> str:
    """A key of which only the end is known."""
    return formats.MASK * 8 + tail


def lot_state(lot: Lot) -> str:
    """The state of a lot, or what is being done to it and how far that is."""
    if lot.working is None:
        return word(lot.state)
    doing = in_words(WORKING.get(lot.working, (lot.working, lot.working)))
    return f"{doing} {100 * lot.done // lot.imported}%" if lot.imported else doing


def _lot_tone(lot: Lot) -> str:
    return tone(lot.state) if lot.working is None else "info"


def _state_tip(lot: Lot) -> str:
    """Why it is in this state, and whether the shop put it there."""
    by_shop = in_words(("由店铺冻结", "Frozen by the shop")) if lot.frozen_by_shop else ""
    return "\n".join(part for part in (by_shop, lot.reason) if part)


def _last_day(lot: Lot) -> str:
    """The last day on which its keys are offered."""
    return "–" if lot.sell_until is None else formats.day(shop_day(lot.sell_until - timedelta(microseconds=1)))


def _file_tip(lot: Lot) -> str:
    """The file, and when it was imported: a narrow table leaves that column out."""
    return f"{lot.file_name}\n{in_words(('导入时间', 'Imported at'))} {formats.moment(lot.created_at)}"


def _expiry_tip(lot: Lot) -> str:
    """The last day on which its keys are offered: a narrow table leaves that column out."""
    return f"{in_words(('最后销售日', 'Last sale day'))} {_last_day(lot)}"


def columns(alerts: Mapping[str, int], *, supplier: bool = True) -> tuple[Column[SkuStock], ...]:
    """The columns of the SKUs; `alerts` maps SKUs to how many alerts stand, and may change later.

    `supplier`: whose they are is told; a supplier sees only their own.
    """

    def number(stock: SkuStock) -> int:
        return alerts.get(stock.sku, 0)

    every = (
        Column[SkuStock](
            "name", lambda s: s.name, stretch=True, tip=lambda s: s.name, sample="十二个汉字的规格名称大约"
        ),
        Column[SkuStock](
            "alerts",
            lambda s: formats.count(number(s)) if number(s) else "",
            tone=lambda s: "danger" if number(s) else "",
            sample="99",
        ),
        Column[SkuStock]("sku", lambda s: s.sku, code=True, sample="STEAM-W-100"),
        Column[SkuStock]("product", lambda s: s.product, sample="steam-wallet"),
        Column[SkuStock]("supplier", lambda s: s.supplier, sample="星河数码"),
        Column[SkuStock]("for_sale", lambda s: formats.count(s.for_sale), numeric=True, sample=_FIGURE),
        Column[SkuStock]("free", lambda s: formats.count(s.free), numeric=True, sample=_FIGURE),
        Column[SkuStock]("held", lambda s: formats.count(s.held), numeric=True, sample=_SMALL),
        Column[SkuStock]("sold", lambda s: formats.count(s.sold), numeric=True, sample=_FIGURE),
        Column[SkuStock]("void", lambda s: formats.count(s.void), numeric=True, sample=_SMALL),
    )
    return tuple(one for one in every if supplier or one.key != "supplier")


LOT_COLUMNS = (
    Column[Lot]("number", lambda lot: lot_name(lot.number), code=True, sample="#123"),
    Column[Lot]("state", lot_state, tone=_lot_tone, tip=_state_tip, sample="Withdrawing 99%"),
    Column[Lot]("file", lambda lot: lot.file_name, stretch=True, sample="2026-03-01.xlsx", tip=_file_tip),
    Column[Lot]("expires", lambda lot: formats.day(lot.expires_on), sample="2026-03-02", tip=_expiry_tip),
    Column[Lot]("last_day", _last_day, sample="2026-03-02", spare=True, tip=lambda lot: formats.moment(lot.sell_until)),
    Column[Lot]("cost", lambda lot: formats.optional_price(lot.cost), numeric=True, sample="¥98.50"),
    Column[Lot]("uses", lambda lot: formats.count(lot.uses), numeric=True, sample="999"),
    Column[Lot]("imported", lambda lot: formats.count(lot.imported), numeric=True, sample=_FIGURE),
    Column[Lot]("free", lambda lot: formats.count(lot.free), numeric=True, sample=_FIGURE),
    Column[Lot]("held", lambda lot: formats.count(lot.held), numeric=True, sample=_SMALL),
    Column[Lot]("sold", lambda lot: formats.count(lot.sold), numeric=True, sample=_FIGURE),
    Column[Lot]("void", lambda lot: formats.count(lot.void), numeric=True, sample=_SMALL),
    Column[Lot](
        "created",
        lambda lot: formats.short_moment(lot.created_at, today=shop_day(now())),
        sample="03-02 10:00:00",
        spare=True,
        tip=lambda lot: formats.moment(lot.created_at),
    ),
)


def reason_words(reason: str) -> str:
    """Why a unit is void or came back: what a person wrote, else the words of the reason."""
    known = {one.value: one for one in UndoneReason}.get(reason)
    return reason if known is None else word(known)


def _reason(unit: Unit) -> str:
    return reason_words(unit.reason or "")


UNIT_COLUMNS = (
    Column[Unit]("seq", unit_name, code=True, sample="#12-1,234,567", sorts=True),
    Column[Unit]("key", lambda unit: covered(unit.tail), code=True, sample=covered("WXYZ")),
    Column[Unit]("state", lambda unit: word(unit.state), tone=lambda unit: tone(unit.state), sample="Void 000"),
    Column[Unit]("expiry", lambda unit: formats.day(unit.expires_on), sample="2026-03-02", sorts=True),
    Column[Unit](
        "sold_at",
        lambda unit: formats.short_moment(unit.sold_at, today=shop_day(now())),
        sample="03-02 10:00:00",
        tip=lambda unit: formats.moment(unit.sold_at),
    ),
    Column[Unit]("reason", _reason, sample="八个汉字的作废原因", tip=_reason),
    Column[Unit]("file", lambda unit: unit.file_name, stretch=True),
)
