"""Going from the first schema to the newest and back with a shop's rows in it, an import under way among them."""

import hashlib
import json
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import delete, select, text, update

from server import db as kinds
from server import migrations
from server.crypto import seal_chunk
from server.db import Database, retrying
from server.orders.model import Order
from server.payments.disputes.model import Dispute
from server.payments.model import PaymentAttempt, PaymentBillFile
from server.policy import SYSTEM
from server.reconcile.model import ReconcileDifference, ReconcileSweep, ReconcileSweepPart, ReconcileWithdrawal
from server.settlement.model import SettlementResult, SettlementSplit, Statement
from server.stock import lots, queries
from server.stock.imports import ingest
from server.stock.model import ImportChunk, StockCursor, StockImport, StockLot
from server.stock.ranking import LOT_NUMBERS
from server.stock.vault import rekey
from shared import cardkey, clock, ids
from shared.contracts.stock import MoveLot
from shared.pricing import Deal, Share
from shared.states import ImportState, LotState, UnitState
from tests.server.importing import Upload, cards
from tests.world import ANNA, BEN, WITH_FEES, world

OLD, NEW = "0001", "0002"
SKU = "OFFICE-1Y"


@pytest.fixture
def database_url(any_engine, new_database):
    """What has landed never changes again: of its tests each runs on an engine, and on the others in `make soak`."""
    return new_database(any_engine)


@pytest.fixture
def shop(any_engine, tmp_path):
    """A shop with orders at the first schema."""
    with world(any_engine, tmp_path) as built:
        built.stock("STEAM-50", 4)
        built.buy(ANNA, "STEAM-50", 2)
        built.place(BEN, "STEAM-50")
        migrations.downgrade(built.ctx.db, OLD)
        yield built


def put(tx, table, **values):
    """A row of the first schema, which no class describes any more."""
    columns = [sa.column(name, _kind(name, value)) for name, value in values.items()]
    tx.execute(sa.insert(sa.table(table, *columns)), values)


def _kind(name, value):
    if name == "fingerprint":
        return kinds.Digest16()
    return {"UUID": kinds.Uid(), "datetime": kinds.Instant(), "date": sa.Date()}.get(type(value).__name__)


def put_lot(tx, shop, keys, *, first, selling=True):
    """A lot as the first version made it: its numbers follow those of the lot before. Answers its id."""
    terms, ring, lot_id = shop.skus[SKU], shop.ctx.keys, ids.new_id()
    key = ring.new_lot_key(lot_id)
    texts = [cardkey.canonical(cardkey.Card("", one)) for one in keys]
    sealed = ring.lot(lot_id, key).seal_all(terms.sku_id, first, [one.encode() for one in texts])
    mine = {"sku_id": terms.sku_id, "product_id": terms.product_id}
    put(
        tx,
        "stock_lot",
        **mine,
        id=lot_id,
        supplier_id=terms.supplier_id,
        state="open",
        file_name="old.txt",
        wrapped_key=key.wrapped,
        master_version=key.master_version,
        created_at=clock.now(),
        version=1,
    )
    counts = {"imported": len(keys), "free": len(keys), "held": 0, "sold": 0, "void": 0}
    put(
        tx,
        "stock_cursor",
        lot_id=lot_id,
        sku_id=terms.sku_id,
        rank=first,
        selling=selling,
        first_seq=first,
        next_seq=first,
        end_seq=first + len(keys),
        **counts,
    )
    prints = ring.fingerprinter.of_all(texts)
    for seq, fingerprint, one in zip(range(first, first + len(keys)), prints, sealed, strict=True):
        put(tx, "card_secret", **mine, seq=seq, fingerprint=fingerprint, sealed=one)
        put(tx, "stock_unit", sku_id=terms.sku_id, seq=seq, lot_id=lot_id, state=int(UnitState.FREE))
    return lot_id


def put_import(tx, shop, keys, *, lot_id, state, stored):
    """An import of the first version, two keys a chunk; the chunks behind `stored` keys have come."""
    terms, import_id, n = shop.skus[SKU], ids.new_id(), len(keys)
    rows = [(line, "", key) for line, key in enumerate(keys, start=1)]
    put(
        tx,
        "stock_import",
        id=import_id,
        sku_id=terms.sku_id,
        sku_code=SKU,
        product_id=terms.product_id,
        supplier_id=terms.supplier_id,
        lot_id=lot_id,
        state=state,
        file_name="old.txt",
        file_sha256="0" * 64,
        key_id=shop.ctx.keys.import_key_id,
        declared_sha256="1" * 64,
        read_rows=n,
        valid_rows=n,
        duplicate_rows=0,
        refused_rows=0,
        skipped_rows=0,
        chunk_count=n // 2,
        next_chunk=stored // 2,
        stored=stored,
        duplicates=0,
        refused=0,
        created_by="chen",
        created_at=clock.now(),
    )
    for at in range(n // 2):
        packed = msgspec.msgpack.encode(rows[2 * at : 2 * at + 2])
        sealed = seal_chunk(shop.ctx.keys.import_public_key, packed, import_id=import_id, n=at)
        done = 2 * at < stored
        digest = hashlib.sha256(sealed).hexdigest()
        put(tx, "import_chunk", import_id=import_id, n=at, sha256=digest, sealed=None if done else sealed)
    return import_id


def test_a_shop_with_an_import_under_way_goes_up_down_and_up_again(shop):
    database, terms = shop.ctx.db, shop.skus[SKU]
    keys = shop.keys(SKU, 10)
    with database.tx() as tx:
        first = put_lot(tx, shop, keys[:2], first=1)
        running = put_lot(tx, shop, keys[2:4], first=3)
        put(tx, "stock_series", sku_id=terms.sku_id, next_seq=9)
        put_import(tx, shop, keys[:2], lot_id=first, state="done", stored=2)
        ingesting = put_import(tx, shop, keys[2:8], lot_id=running, state="ingesting", stored=2)
        receiving = put_import(tx, shop, keys[8:], lot_id=None, state="receiving", stored=0)
    migrations.upgrade(database)
    shop.check()
    with database.tx() as tx:
        ingest.enqueue(tx, ingesting)  # its job was waiting, or running when the old server ended
    shop.work()
    shop.check()
    with database.read() as tx:
        ended = queries.as_import(tx, tx.get(StockImport, ingesting))
        assert (ended.state, ended.stored, ended.refused) == (ImportState.DONE, 6, 0)
        assert tx.get(StockImport, receiving).state == ImportState.CANCELLED
        assert tx.scalars(select(ImportChunk.n).where(ImportChunk.import_id == receiving)).all() == []
        lots = {lot.id: lot for lot in tx.scalars(select(StockLot).where(StockLot.sku_id == terms.sku_id))}
        cursors = tx.scalars(select(StockCursor).where(StockCursor.sku_id == terms.sku_id).order_by(StockCursor.rank))
        assert [(one.lot_id, one.first_seq, one.end_seq) for one in cursors] == [(first, 1, 3), (running, 3, 9)]
    assert [(lots[one].number, lots[one].import_id is not None) for one in (first, running)] == [(0, True), (1, True)]
    assert [cards(shop, lots[one]) for one in (first, running)] == [keys[:2], keys[2:8]]
    assert Upload(shop, keys, sku=SKU).end().figures == (ImportState.DONE, 2, 8, 0)  # a new lot beside the old ones
    with database.read() as tx:
        starts = tx.scalars(select(StockLot.first_seq).where(StockLot.sku_id == terms.sku_id)).all()
    assert sorted(starts) == [1, 3, LOT_NUMBERS + 1]
    unfinished = Upload(shop, shop.keys(SKU, 4, start=50), sku=SKU, per_chunk=2).send(0)
    shop.work()
    assert unfinished.seen.stored == 2
    before, longest = shop.level(SKU), "https://openapi.example/" + "x" * 1_500
    short, long = {"pay_url": longest[:512], "qr_text": None}, {"pay_url": longest, "qr_text": longest}
    with database.tx() as tx:
        for buyer, values in ((ANNA, short), (BEN, long)):
            its = PaymentAttempt.order_id.in_(select(Order.id).where(Order.buyer_id == buyer))
            tx.execute(sa.update(PaymentAttempt).where(its).values(values))
    migrations.downgrade(database, OLD)
    with database.read() as tx:  # an address that has no room there is gone, and is not cut
        addresses = tx.execute(text("SELECT state, pay_url, qr_text FROM payment_attempt ORDER BY state")).all()
    assert addresses == [("created", None, None), ("paid", longest[:512], None)]
    with database.read() as tx:  # what was not committed is gone, and of the rest nothing
        counted = {name: tx.scalar(text(f"SELECT COUNT(*) FROM {name}")) for name in ("stock_unit", "card_secret")}
    assert counted == {"stock_unit": 14, "card_secret": 14}
    migrations.upgrade(database)
    shop.check()
    after = shop.level(SKU)
    assert (after.imported, after.free) == (before.imported - 2, before.free - 2) == (10, 10)
    shop.buy(ANNA, SKU, 9)
    with database.read() as tx:  # none of what was paid before was opened to be split
        opened = tx.scalars(select(PaymentAttempt).order_by(PaymentAttempt.id)).all()
    assert [one.is_shared for one in opened] == [False] * (len(opened) - 1) + [True]
    later = Upload(shop, shop.keys(SKU, 3, start=80), sku=SKU).end()  # its lot begins behind those of the first time
    assert later.figures == (ImportState.DONE, 3, 0, 0)


def test_going_back_is_refused_while_it_would_lose_keys(any_engine, tmp_path):
    with world(any_engine, tmp_path) as shop:
        shop.stock(SKU, 3)
        ring, db = shop.ctx.keys, shop.ctx.db

        def refused():
            migrations.downgrade(db, NEW)  # which loses nothing here
            with pytest.raises(RuntimeError, match=r"^1 lots"):
                migrations.downgrade(db, OLD)
            assert migrations.current(db) == NEW
            migrations.upgrade(db)
            shop.check()

        with db.tx() as tx:
            rekey.begin(tx, ring, rekey.Chosen(), actor="system")
            lot_id = tx.scalars(select(StockLot.id)).one()
        refused()
        while retrying(db, lambda tx: rekey.reseal(tx, ring, lot_id, skip_damaged=False, actor="system")):
            pass
        with db.tx() as tx:
            lots.move(tx, lot_id, MoveLot(to=LotState.WITHDRAWN, reason="撤回"), actor=SYSTEM)
        refused()
        shop.work()
        shop.stock(SKU, 2, terms=(None, None, 3))
        refused()


def test_going_back_is_refused_while_money_would_lose_its_name(any_engine, tmp_path):
    with world(any_engine, tmp_path, **WITH_FEES) as shop:
        shop.stock(SKU, 40)
        bought = shop.buy(ANNA, SKU, 20)
        db = shop.ctx.db
        migrations.downgrade(db, "0004")
        migrations.upgrade(db)
        shop.check()
        assert shop.attempt(bought).fee_fen == 0, "a fifth of a fen"
        deal = Deal(discount=Share.fixed(100), commission=Share.percent(50_000), distributor_id=ids.new_id())
        shop.buy(ANNA, SKU, 20, deal=deal)
        with pytest.raises(RuntimeError, match=r"^1 order lines with discounts"):
            migrations.downgrade(db, "0004")
        assert migrations.current(db) in {"0005", migrations.head()}, "where its transaction began"
        migrations.upgrade(db)
        shop.check()
        with db.read() as tx:
            told = tx.execute(text("SELECT discount_fen, commission_fen FROM order_line ORDER BY discount_fen")).all()
        assert [tuple(row) for row in told] == [(0, 0), (20, 3)]


@pytest.mark.each_engine
def test_signed_days_get_their_bills_back_and_arrivals_stay(database_url):
    """A bill that took the place of a signed one is late; what arrived is booked, of its day, and goes back as such;
    what left the channel's account is known."""
    db, day, now = Database(database_url), clock.shop_day(clock.now()), clock.now()
    migrations.upgrade(db, "0007")
    signed, instead, other = ids.new_id(), ids.new_id(), ids.new_id()
    with db.tx() as tx:
        for file_id, of, is_current in ((signed, day, False), (instead, day, True), (other, day - timedelta(1), True)):
            told = {"channel": "wechat", "kind": "trades", "day": of, "merchant_id": "1", "name": "x", "source": "x"}
            told |= {"added_by": "x", "added_at": now, "size": 1, "row_count": 1, "sha1": "0" * 40, "totals": "[]"}
            put(tx, "payment_bill_file", id=file_id, sha256=file_id.hex, is_current=is_current, **told)
        run = {"run_at": now, "run_by": "x", "figures": "{}", "inputs_sha256": "", "outputs_sha256": ""}
        told = {"channel": "wechat", "day": day, "trades_file_id": signed, "is_signed": True}
        put(tx, "reconcile_day", **told, **run, funds_file_id=other)
        for n, kind, fen in ((1, "trade", 4_500), (2, "withdrawal", -4_473)):
            told = dict.fromkeys(("provider_no", "out_trade_no", "refund_no", "out_refund_no", "state", "note"), "")
            told |= {"file_id": other, "n": n, "kind": kind, "at": now, "amount_fen": fen, "fee_fen": 0}
            put(tx, "reconcile_row", **told, fund_no=f"F-{n}")
        told = {"channel": "wechat", "reference": "B-1", "id": ids.new_id(), "day": day, "arrived_on": day}
        put(tx, "reconcile_sweep", amount_fen=4_473, recorded_by="staff:1", recorded_at=now, **told)
    migrations.upgrade(db)
    with db.read() as tx:
        files = {
            file.id: (file.is_current, file.is_closed, file.is_late) for file in tx.scalars(select(PaymentBillFile))
        }
        [sweep] = tx.scalars(select(ReconcileSweep)).all()
        [part] = tx.scalars(select(ReconcileSweepPart)).all()
        [left] = tx.scalars(select(ReconcileWithdrawal)).all()
    assert (part.sweep_id, part.day, part.amount_fen) == (sweep.id, day, 4_473)
    assert (left.channel, left.day, left.at, left.number, left.amount_fen) == ("wechat", day, now, "F-2", 4_473)
    assert (left.voucher, left.sweep_id, left.paired_by) == ("", None, None)
    assert files == {signed: (True, True, False), instead: (False, False, True), other: (True, False, False)}
    assert (sweep.id, sweep.reference, sweep.n, sweep.state) == (told["id"], "B-1", 1, "booked")
    assert (sweep.amount_fen, sweep.others_fen, sweep.recorded_at, sweep.version) == (4_473, 0, now, 1)
    assert (left.is_return, left.returned_on, left.other_id, left.reason) == (False, None, None, "")
    back = {"number": "R-2", "amount_fen": 4_473, "is_return": True, "returned_on": day, "other_id": left.id}
    with db.tx() as tx:
        its = {name: getattr(left, name) for name in ("channel", "day", "at", "provider_no", "voucher", "note")}
        put(tx, "reconcile_withdrawal", id=ids.new_id(), paired_by="number", reason="", **its, **back)
    migrations.downgrade(db, "0014")
    with db.read() as tx:
        assert tx.scalars(text("SELECT number FROM reconcile_withdrawal")).all() == ["F-2"], "what came back was none"
    migrations.downgrade(db, "0007")
    migrations.upgrade(db)
    with db.tx() as tx:
        tx.execute(update(ReconcileSweepPart).values(amount_fen=4_400))
        tx.add(ReconcileSweepPart(sweep_id=sweep.id, day=day - timedelta(1), amount_fen=73))
    with pytest.raises(RuntimeError, match=r"^1 sweeps are of more than one day"):
        migrations.downgrade(db, "0011")
    migrations.upgrade(db)
    with db.tx() as tx:
        parts = tx.execute(select(ReconcileSweepPart.day, ReconcileSweepPart.amount_fen)).all()
        assert sorted(map(tuple, parts)) == [(day - timedelta(1), 73), (day, 4_400)], "as they were"
        tx.execute(delete(ReconcileSweepPart).where(ReconcileSweepPart.day < day))
        assert tx.scalars(select(ReconcileSweep.id)).all() == [sweep.id]
        tx.execute(update(ReconcileSweep).values(state="reversed"))
    with pytest.raises(RuntimeError, match=r"^1 sweeps"):
        migrations.downgrade(db, "0007")
    assert migrations.current(db) in {"0008", migrations.head()}, "where its transaction began"
    db.close()


def test_what_waits_for_a_second_person_names_what_it_shows(database_url):
    """The version of its exception; a signed row is left as it is, and one of a later bill does not go back."""
    db, day, now = Database(database_url), clock.shop_day(clock.now()), clock.now()
    migrations.upgrade(db, "0007")
    waits, signed, exception = ids.new_id(), ids.new_id(), ids.new_id()
    with db.tx() as tx:
        told = {"kind": "paid_twice", "channel": "wechat", "out_trade_no": "1", "created_at": now, "state": "proposed"}
        put(tx, "payment_exception", id=exception, key="1", version=7, **told)
        for row_id, is_signed in ((waits, False), (signed, True)):
            told = {"channel": "wechat", "day": day, "kind": "duplicate", "ours_state": "", "theirs_state": "paid"}
            told |= dict.fromkeys(("out_trade_no", "provider_no", "out_refund_no", "note"), "")
            told |= {"found_at": now, "state": "proposed", "proposed": "refund", "exception_id": exception}
            more = {"number": row_id.hex[:8], "is_signed": is_signed, "version": 1}
            put(tx, "reconcile_difference", id=row_id, origin_id=row_id, **told, **more)
    migrations.upgrade(db)
    with db.read() as tx:
        rows = {row.id: row.exception_version for row in tx.scalars(select(ReconcileDifference))}
    assert rows == {waits: 7, signed: None}
    migrations.downgrade(db, "0007")
    migrations.upgrade(db)
    with db.tx() as tx:
        tx.execute(update(ReconcileDifference).where(ReconcileDifference.id == waits).values(again_of=signed))
    with pytest.raises(RuntimeError, match=r"^1 differences"):
        migrations.downgrade(db, "0007")
    assert migrations.current(db) in {"0008", migrations.head()}, "where its transaction began"
    db.close()


def put_paid(tx, *, at, **other):
    """A paid attempt as every version had it; answers its order's id."""
    order_id, number = ids.new_id(), ids.new_id().hex
    told = {"order_code": number[-16:], "channel": "sandbox", "out_trade_no": number, "subject": "", "state": "paid"}
    when = {"created_at": at, "expires_at": at, "paid_at": at}
    put(tx, "payment_attempt", id=ids.new_id(), order_id=order_id, amount_fen=300, queries=0, **told | when | other)
    return order_id


def put_attached(tx, *, at, opened=True):
    """One that people attached to an order: its money had come for another, of a wrong amount."""
    number = ids.new_id().hex
    put_paid(tx, at=at, state="closed", out_trade_no=number, is_shared=opened, paid_at=None)
    return put_paid(tx, at=at, paid_as=number)


def put_payout(tx, supplier_id, stands, *, at, orders, **statement):
    """A payout of the schema before 0021, checked an hour after `at`, and a statement of that time with its orders."""
    id_, statement_id = ids.new_id(), ids.new_id()
    told = {"supplier_id": supplier_id, "mode": "purchase", "made_by": "x", "made_at": at}
    sums = {"release_fen": 900, "deductions_fen": 0, "owed_fen": 0, "payout_fee_fen": 0, "payable_fen": 900}
    more = {"number": statement_id.hex[-24:], "run_id": ids.new_id(), "day": clock.shop_day(at), "lines": 1}
    more |= {"withheld_fen": 0, "paid_fen": 0, "confirmed_at": at, "payout_id": id_, "state": "paid", "version": 1}
    put(tx, "settlement_statement", id=statement_id, **told | sums | more | statement)
    for order_id in orders:
        its = {"order_id": order_id, "share_fen": 300, "refunded_fen": 0}
        put(tx, "settlement_item", order_line_id=ids.new_id(), statement_id=statement_id, **its)
    told |= dict.fromkeys(("receiver", "account", "bank", "reference", "note", "content_sha256"), "")
    sums = {"amount_fen": 900, "fee_fen": 0, "arrived_fen": 0, "returned_fen": 0, "version": 1, "state": stands}
    checked = {"checked_by": "y", "checked_at": at + timedelta(hours=1)}
    put(tx, "settlement_payout", id=id_, number=id_.hex[-24:], statements="[]", **told | sums | checked)
    return id_


def put_disputes(tx, *, at):
    """One that two people closed and one that one person spoke of, with what the audit log has of them; their ids."""
    closed, open_ = ids.new_id(), ids.new_id()
    for id_, state in ((closed, "won"), (open_, "opened")):
        told = {"order_id": id_, "order_code": id_.hex[-16:], "channel": "wechat", "channel_no": id_.hex}
        told |= {"state": state, "amount_fen": 100, "fine_fen": 0, "reason": "x", "opened_by": "x", "opened_at": at}
        put(tx, "payment_dispute", id=id_, version=2, note="y", **told)
    for id_, what, detail in (
        (closed, "open", {"fen": 100}),
        (closed, "propose", {"note": "before"}),
        (closed, "propose", {"note": "y"}),
        (closed, "won", {"note": "y", "said": "同意"}),
        (open_, "propose", {"note": "y"}),
    ):
        at += timedelta(seconds=1)
        told = {"actor": "x", "action": f"dispute.{what}", "entity": "dispute", "entity_id": id_.hex}
        put(tx, "audit_event", id=ids.new_id(), at=at, detail=json.dumps(detail), **told)
    return closed, open_


def test_what_nobody_told_of_a_payout_that_failed_in_part_did_not_arrive(database_url):
    """One that a person said to be there keeps its rows; of one that failed those are lacking of which nobody told.

    What two people said of a dispute is taken over from the audit log.
    """
    db, now = Database(database_url), clock.now()
    migrations.upgrade(db, "0010")
    there, failed = ids.new_id(), ids.new_id()
    with db.tx() as tx:
        closed, open_ = put_disputes(tx, at=now)
        orders = {None: put_paid(tx, at=now)}
        for id_, arrived in ((there, 900), (failed, 300)):
            told = {"supplier_id": ids.new_id(), "mode": "profit_sharing", "statements": "[]", "state": "confirmed"}
            told |= {"number": id_.hex[:24], "amount_fen": 900, "fee_fen": 0, "arrived_fen": arrived, "version": 1}
            told |= dict.fromkeys(("content_sha256", "made_by", "reference", "note"), "x") | {"made_at": now}
            put(tx, "settlement_payout", id=id_, returned_fen=0, receiver="", account="", bank="", **told)
            for n in (1, 2):
                orders[id_, n] = put_paid(tx, at=now)
                put(tx, "settlement_split", payout_id=id_, n=n, order_id=orders[id_, n], amount_fen=300)
            said = {"reference": "", "reason": "", "file_sha256": "0" * 64, "succeeded": True}
            put(tx, "settlement_result", payout_id=id_, n=1, **said)
    for _ in range(2):
        migrations.upgrade(db)
        with db.read() as tx:
            rows = {(row.payout_id, row.n): row.succeeded for row in tx.scalars(select(SettlementResult))}
            fees = set(tx.scalars(select(SettlementSplit.fee_fen)))
            shared = set(tx.scalars(select(PaymentAttempt.order_id).where(PaymentAttempt.is_shared)))
            said = {row.id: (row.proposed_at, row.closed_note) for row in tx.scalars(select(Dispute))}
        assert said == {closed: (now + timedelta(seconds=3), "同意"), open_: (now + timedelta(seconds=5), "")}
        assert rows == {(there, 1): True, (failed, 1): True, (failed, 2): False, (failed, 0): False}
        assert fees == {0}
        assert shared == {orders[there, 1], orders[there, 2], orders[failed, 1]}, "what was split was opened to be"
        migrations.downgrade(db, "0010")
    db.close()


def test_attached_money_was_opened_to_be_split_and_is_ended_by_the_payout_that_saw_to_its_order(database_url):
    """Once, where it was; that it was dropped is known of a statement since then, too."""
    db, now = Database(database_url), clock.now()
    migrations.upgrade(db, "0020")
    one, other, day = ids.new_id(), ids.new_id(), timedelta(days=1)
    with db.tx() as tx:
        names = ("paid", "netted", "seen", "told", "failed", "waiting")
        shared = {name: put_attached(tx, at=now - day) for name in names}
        late, unopened = put_attached(tx, at=now - 31 * day), put_attached(tx, at=now - day, opened=False)
        split = put_paid(tx, at=now - day, is_shared=True)
        at = {"at": now - timedelta(hours=3)}
        old = put_payout(tx, one, "confirmed", **at, orders=[late, unopened, shared["seen"]])
        put(tx, "settlement_split", payout_id=old, n=1, order_id=shared["seen"], amount_fen=0, fee_fen=0)
        new = put_payout(tx, one, "sent", **at, orders=[split, shared["paid"], shared["told"]])
        put(tx, "settlement_split", payout_id=new, n=1, order_id=split, amount_fen=300, fee_fen=0)
        put_payout(tx, one, "requested", **at, orders=[shared["netted"]], payout_id=None)
        failed = put_payout(tx, other, "failed", **at, orders=[shared["failed"]], payout_id=None, state="confirmed")
        put(tx, "settlement_split", payout_id=failed, n=1, order_id=shared["told"], amount_fen=0, fee_fen=0)
        said = {"reference": "", "reason": "", "file_sha256": "0" * 64, "succeeded": True}
        put(tx, "settlement_result", payout_id=failed, n=-1, **said)
        put_payout(tx, other, "requested", **at, orders=[shared["waiting"]], state="dropped", number="JS20261101-001")
        dropped = {"actor": "x", "entity": "statement", "entity_id": "JS20261101-001", "detail": "{}"}
        put(tx, "audit_event", id=(dropped_id := ids.new_id()), at=now, action="statement.drop", **dropped)
        put(tx, "audit_event", id=ids.new_id(), at=now, action="statement.make", **dropped)
    for _ in range(2):
        migrations.upgrade(db)
        with db.read() as tx:
            attempts = {row.order_id: row.is_shared for row in tx.scalars(select(PaymentAttempt)) if row.paid_at}
            splits = tx.scalars(select(SettlementSplit)).all()
            gone = {row.number: row.dropped_id for row in tx.scalars(select(Statement)) if row.state == "dropped"}
        assert attempts == dict.fromkeys((*shared.values(), late, split), True) | {unopened: False}
        kept = {(old, 1): (shared["seen"], 0), (new, 1): (split, 300), (failed, 1): (shared["told"], 0)}
        rows = {(row.payout_id, row.n): (row.order_id, row.amount_fen) for row in splits}
        assert rows == kept | {(new, 2): (shared["paid"], 0), (new, 3): (shared["netted"], 0)}
        assert gone == {"JS20261101-001": dropped_id}
        migrations.downgrade(db, "0020")
    db.close()
