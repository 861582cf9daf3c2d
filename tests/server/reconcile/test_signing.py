"""A signed day: over exactly what was seen, computed again by anybody, and kept by the database itself."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from server import migrations
from server.audit import AuditEvent
from server.changes import ChangeInbox
from server.db import Database, table_of
from server.payments.model import PaymentBillFile
from server.reconcile import ours
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow, ReconcileSignature
from shared import clock, ids
from tests.server.reconcile.closing import SHARES


def sha256(lines):
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


def said(value):
    return value.hex if hasattr(value, "hex") else value.isoformat() if hasattr(value, "isoformat") else value


def closed_day(close):
    """A day of WeChat Pay with a difference that is carried and one that was booked; answers its files."""
    close.sold("wechat")
    lost, fee = close.sold("wechat"), close.sold("wechat", "MUSIC-30")
    close.plant("wechat", "missing", lost.out_trade_no)
    close.plant("wechat", "fee", fee.out_trade_no, amount_fen=9)
    return close.file("wechat", "trades"), close.file("wechat", "funds"), lost


def test_only_what_was_seen_is_signed(close):
    trades, funds, _ = closed_day(close)
    with close.tomorrow():
        close.drop(*trades)
        said = close.sign("wechat", status=409)
        assert (said["code"], "缺少资金账单；还有 2 条差异未处理" in said["detail"]) == ("day_not_ready", True)
        assert (
            close.site.post(
                f"/api/reconcile/{close.at('wechat', '/sign')}", by="li", json={"outputs_sha256": "0" * 64}
            ).status_code
            == 403
        )
        close.drop(*funds)
        for one in close.differences("wechat"):
            close.handle(one, "carry" if one["kind"] == "only_ours" else "book")
        seen = close.seen("wechat")
        assert (len(seen["sign_waits_for"]), seen["actions"]) == (1, ["fetch", "run"]), "who dropped does not sign"
        seen = close.seen("wechat", by="wang")
        assert (seen["sign_waits_for"], seen["actions"]) == (
            [],
            [
                "fetch",
                "run",
                "sign",
            ],
        )
        assert close.sign("wechat", by="wang", outputs="0" * 64, status=409)["code"] == "day_changed"
        late = close.sold("wechat")
        refused = close.sign("wechat", by="wang", status=409)
        assert refused["code"] == "ours_changed", "a payment of the day has come to light"
        assert late.state == "paid"
        close.post(close.at("wechat", "/run"))
        stale = seen["outputs_sha256"]
        assert close.sign("wechat", by="wang", outputs=stale, status=409)["code"] == "day_not_ready"
        [new] = [one for one in close.differences("wechat") if one["state"] == "open"]
        assert (new["kind"], new["out_trade_no"]) == ("only_ours", late.out_trade_no)
        close.handle(new, "carry")
        assert close.sign("wechat", by="wang")["state"] == "signed"
    with close.shop.ctx.db.read() as tx:
        signed = tx.scalars(select(AuditEvent).where(AuditEvent.action == "day.sign")).all()
        assert [json.loads(one.detail)["note"] for one in signed] == ["已核对"]
        assert "reconciled_day" in set(tx.scalars(select(ChangeInbox.entity)))


def test_a_signed_day_does_not_change_and_can_be_computed_again(close):
    trades, funds, _ = closed_day(close)
    with close.tomorrow():
        close.drop(*trades)
        close.drop(*funds)
        for one in close.differences("wechat"):
            close.handle(one, "carry" if one["kind"] == "only_ours" else "book", note='见“工单”|"7"\n\\周洁')
        close.sign("wechat", by="wang")
        signed = close.seen("wechat")
        again(close, signed)
        assert close.sign("wechat", status=409)["code"] == "day_signed"
        assert close.post(close.at("wechat", "/run"), status=409)["code"] == "day_signed"
        carried = next(one for one in close.differences("wechat") if one["kind"] == "only_ours")
        assert carried["actions"] == []
        assert close.handle(carried, "write_off", status=409)["code"] == "day_signed"
        assert close.drop(*trades)["is_current"], "the same file is no news"
        assert close.seen("wechat") == signed
        for statement in (
            "UPDATE reconcile_day SET figures = '{}'",
            "DELETE FROM reconcile_day",
            "UPDATE reconcile_difference SET note = 'x'",
            "DELETE FROM reconcile_difference",
            "UPDATE reconcile_signature SET note = 'x'",
            "DELETE FROM reconcile_signature",
        ):
            with pytest.raises(DBAPIError, match="append-only"), close.shop.ctx.db.tx() as tx:
                tx.execute(text(statement))
    next_day = close.day + timedelta(days=1)
    close.plant("wechat", "extra", "NEXT-DAY", amount_fen=100, day=str(next_day))
    later = close.file("wechat", "trades", next_day)
    with close.tomorrow(days=2):
        close.drop(*later)
        [again_here] = [one for one in close.differences("wechat", next_day) if one["carried_from"]]
        assert (again_here["carried_from"], again_here["state"]) == (str(close.day), "open")
        close.handle(again_here, "write_off")
        assert close.check(again_here)["state"] == "resolved", "a correction in an open day"
        assert close.seen("wechat") == signed


@SHARES
def test_a_day_that_was_compared_under_another_rule_is_compared_again(close):
    """A payment of nobody's closed itself while another business shared the number. It does not any more."""
    close.sold("wechat")
    close.plant("wechat", "extra", "OTHERS-1", amount_fen=500, day=str(close.day))
    files = close.file("wechat", "trades"), close.file("wechat", "funds")
    with close.tomorrow():
        for file in files:
            close.drop(*file)
        assert [one["state"] for one in close.differences("wechat")] == ["matched"]
        ctx = close.shop.ctx
        close.site.app.state.context = replace(ctx, settings=replace(ctx.settings, shared_merchants=""))
        refused = close.sign("wechat", by="wang", status=409)
        assert (refused["code"], "外来单的规则有变化" in refused["detail"]) == ("ours_changed", True)
        close.post(close.at("wechat", "/run"))
        assert {one["kind"]: one["state"] for one in close.differences("wechat")}["only_theirs"] == "open"
        assert close.sign("wechat", by="wang", status=409)["code"] == "day_not_ready"
        close.site.app.state.context = ctx
        close.post(close.at("wechat", "/run"))
        assert close.sign("wechat", by="wang")["state"] == "signed"


def again(close, signed):
    """The hashes from the rows, as docs/reconciliation.md says."""
    with close.shop.ctx.db.read() as tx:
        day = tx.scalars(select(ReconcileDay)).one()
        opening = json.loads(day.figures)["balance"]["opening_fen"]
        files = tx.scalars(select(PaymentBillFile).order_by(PaymentBillFile.kind)).all()
        inputs = [["bill", file.kind, file.sha256] for file in files]
        inputs += [["opening", opening], ["shared", False]]
        for one in ours.of_day(tx, "wechat", close.day):
            numbers = (one.out_trade_no, one.provider_no, one.out_refund_no, one.amount_fen)
            inputs.append(["ours", one.id.hex, one.kind, *numbers])
        rows = tx.scalars(
            select(ReconcileRow).where(ReconcileRow.file_id == day.trades_file_id).order_by(ReconcileRow.n)
        )
        pairs = [[row.n, row.kind, row.amount_fen, row.fee_fen, said(row.matched_id), row.matched_by] for row in rows]
        names = "number id kind ours_id ours_fen theirs_fen out_trade_no provider_no out_refund_no bill_row"
        names += " carried_from state action action_order_code note handled_by checked_by"
        differences = tx.scalars(select(ReconcileDifference).order_by(ReconcileDifference.number))
        handled = [[said(getattr(row, name)) for name in names.split()] for row in differences]
        outputs = [["figures", day.figures], *(["difference", *one] for one in handled)]
        signature = tx.scalars(select(ReconcileSignature)).one()
    assert json.loads(day.figures)["pairs_sha256"] == sha256(pairs)
    assert signature.inputs_sha256 == day.inputs_sha256 == sha256(inputs) == signed["signature"]["inputs_sha256"]
    assert signature.outputs_sha256 == day.outputs_sha256 == sha256(outputs) == signed["outputs_sha256"]


def test_each_engine_keeps_what_was_signed(database_url):
    """The triggers, and going back: a schema that has no place for signed days is refused."""
    db = Database(database_url)
    migrations.upgrade(db)
    day = {"channel": "wechat", "day": clock.shop_day(clock.now())}
    hashes = {"inputs_sha256": "0" * 64, "outputs_sha256": "0" * 64}
    with db.tx() as tx:
        tx.execute(
            insert(table_of(ReconcileDay)),
            day | hashes | {"run_at": clock.now(), "run_by": "x", "figures": "{}", "is_signed": False},
        )
        tx.execute(text("UPDATE reconcile_day SET run_by = 'y'"))
        tx.execute(text("DELETE FROM reconcile_day"))
    migrations.downgrade(db, "0006")
    migrations.upgrade(db)
    difference = dict.fromkeys(
        ("ours_state", "theirs_state", "out_trade_no", "provider_no", "out_refund_no", "note"), ""
    ) | {"id": ids.new_id(), "origin_id": ids.new_id(), "number": "D1", "kind": "fee", "state": "open"}
    with db.tx() as tx:
        facts = {"run_at": clock.now(), "run_by": "x", "figures": "{}", "is_signed": False}
        tx.execute(insert(table_of(ReconcileDay)), day | hashes | facts)
        more = {"found_at": clock.now(), "proposed": "book", "is_signed": False, "version": 1}
        tx.execute(insert(table_of(ReconcileDifference)), day | difference | more)
        for table in ("reconcile_day", "reconcile_difference"):
            tx.execute(text(f"UPDATE {table} SET is_signed = TRUE"))
        signed = {"signed_by": "x", "signed_at": clock.now(), "note": ""}
        tx.execute(insert(table_of(ReconcileSignature)), day | hashes | signed)
    for table in ("reconcile_day", "reconcile_difference", "reconcile_signature"):
        for statement in (f"UPDATE {table} SET channel = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="append-only"), db.tx() as tx:
                tx.execute(text(statement))
    with pytest.raises(RuntimeError, match=r"^1 signed days"):
        migrations.downgrade(db, "0006")
    db.close()
