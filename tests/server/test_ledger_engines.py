"""What the database itself refuses, and two that post at once, on each engine."""

import hashlib
import json
import threading
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError

from server.db import retrying
from server.invariants import books
from server.invariants import ledger as checks
from server.ledger import actions as ledger
from server.ledger import days, paying
from server.ledger.actions import Account, Journal, Transfer
from server.ledger.model import LedgerBalance, LedgerJournal, LedgerTransfer
from server.ledger.paying import LineRelease, NotEnoughAvailable, Released
from server.ledger.queries import balances
from shared import clock, ids
from tests import engines
from tests.databases import count, migrated

PAYEE = paying.supplier(UUID(int=7))
SAID = {"at": clock.now(), "actor": "staff:1"}


@pytest.fixture(params=engines.KINDS)
def db(request):
    with migrated(request.param) as made:
        yield made
        with made.read() as tx:
            found = (
                checks.balances_sum_to_zero(tx),
                checks.balances_keep_their_floor(tx),
                books.balances_are_their_days(tx),
            )
            assert found == (None, None, None)


def net(db):
    with db.read() as tx:
        return {one.account.kind: one.net for one in balances(tx) if one.net}


def sale(name, fen):
    return Journal(f"order:{name}:sale", "SALE", None, clock.now(), (Transfer(Account("escrow"), PAYEE.pending, fen),))


def test_an_account_whose_opening_was_undone_is_opened_again(db):
    with db.tx() as tx:
        for name in "AB":  # the second finds what is open, which nobody may remember yet
            ledger.post(tx, [sale(name, 1)])
        tx.rollback()
    for name, fen in (("A", 1), ("B", 2), ("B", 2)):
        with db.tx() as tx:
            ledger.post(tx, [sale(name, fen)])
    assert net(db) == {"escrow": -3, "supplier_pending": 3}


def test_a_journal_is_known_by_the_hash_of_its_facts_as_json(db):
    moved = (Transfer(Account("psp", 'a"信'), Account("escrow"), 7), Transfer(Account("bank"), Account("fee"), 0))
    order_id = ids.new_id()
    with db.tx() as tx:
        ledger.post(tx, [Journal("A", "PAY", order_id, clock.now(), moved), Journal("B", "ADJ", None, clock.now(), ())])
        kept = dict(tx.execute(select(LedgerJournal.key, LedgerJournal.content_sha256)).all())
    facts = {"A": ["PAY", order_id.hex, [["psp", 'a"信', "escrow", "", 7]]], "B": ["ADJ", None, []]}
    assert kept == {key: hashlib.sha256(json.dumps(one).encode()).hexdigest() for key, one in facts.items()}


def test_the_database_keeps_floors_positive_amounts_and_what_was_posted(db):
    line = ids.new_id()
    with db.tx() as tx:
        assert len(ledger.post(tx, [sale("A", 100), sale("B", 0)])) == 2
        released = paying.release(tx, number="S1", payee=PAYEE, lines=[LineRelease(line, 100)], **SAID)
        slots = select(LedgerBalance.slot).where(LedgerBalance.credits_fen > 0, LedgerBalance.slot > 0)
        assert tx.scalars(slots).all() == [3]  # the last one of what is pending: the lanes have the others
    assert released == Released(owed=0, available=100)
    transfer = Transfer(PAYEE.available, Account("payout"), 101)
    too_much = Journal("payout:1:submit", "PAYOUT", None, clock.now(), (transfer,))
    with pytest.raises(DBAPIError), db.tx() as tx:
        ledger.post(tx, [too_much])
    for statement in (
        update(LedgerJournal).values(memo="x"),
        update(LedgerTransfer).values(amount_fen=1),
        delete(LedgerTransfer),
        delete(LedgerJournal),
    ):
        if "mariadb" in db.engine.dialect.name:
            break  # a copied database of MariaDB has no triggers; test_migrations tries them on one that is not
        with pytest.raises(DBAPIError, match="append-only"), db.tx() as tx:
            tx.execute(statement)
    assert net(db) == {"escrow": -100, "supplier_available": 100}
    with clock.fixed(clock.day_bounds(clock.shop_day(clock.now()))[1] + days.GRACE):
        assert days.close_days(db) == 1
    with db.read() as tx:
        assert {one.debits - one.credits for one in days.until(tx, None).values()} == {0, 100, -100}


def test_two_that_pay_out_at_once_never_pay_more_than_there_is(db):
    with db.tx() as tx:
        ledger.post(tx, [sale("A", 100)])
        paying.release(tx, number="S1", payee=PAYEE, lines=[LineRelease(ids.new_id(), 100)], **SAID)
    refused, start = [], threading.Barrier(4)

    def pay(number):
        start.wait()
        try:
            retrying(db, lambda tx: paying.payout_submit(tx, number=number, payee=PAYEE, amount=40, **SAID), tries=9)
        except NotEnoughAvailable:
            refused.append(number)

    threads = [threading.Thread(target=pay, args=(f"P{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), net(db)["payout"], net(db)["supplier_available"]) == (2, 80, 20)


def test_one_journal_posted_by_many_at_once_is_posted_once(db):
    journal, start = sale("A", 100), threading.Barrier(4)
    ends = []

    def post():
        start.wait()
        try:
            retrying(db, lambda tx: ledger.post(tx, [journal]), tries=9)
        except DBAPIError as error:
            ends.append(type(error).__name__)  # whoever lost the race for the key: it is there when it looks again

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.tx() as tx:
        assert ledger.post(tx, [journal]) == {}
    assert (count(db, LedgerJournal), net(db)) == (1, {"escrow": -100, "supplier_pending": 100})
    with db.read() as tx:
        assert tx.scalar(select(func.sum(LedgerTransfer.amount_fen))) == 100
