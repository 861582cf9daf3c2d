"""Signing in, rotating, ending: against the real server, through real sockets and real files."""

import asyncio
import json
import os
import sqlite3
import threading
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, update

from desktop.credentials import MemoryVault, Place
from desktop.engine.events import Connection, ConnectionChanged, SignedIn, SignedOut
from desktop.engine.session import SessionEnded
from desktop.engine.transport import NotKameng, Unreachable, normalise_server
from desktop.operations import orders, products, session, stock
from server import cli
from server.changes import ChangeHead, ChangeLog
from server.identity import actions as identity
from shared import clock
from shared.errors import BadField, KamengError, NotSignedIn
from shared.permissions import Permission, Role
from tests.desktop.live import Line
from tests.world import PASSWORD


def account_of(server: str, login: str) -> str:
    return f"{login}@{server}"


def test_signing_in_keeps_the_token_in_the_vault_and_nowhere_else(live_shop, console):
    a = console()
    who = a.sign_in(live_shop.url, "chen")
    assert (who.person.login, who.person.role, who.server, who.place) == (
        "chen",
        Role.SUPPLIER,
        live_shop.url,
        Place.MEMORY,
    )
    assert session.may(a.engine, Permission.STOCK_IMPORT_CREATE)
    assert not session.may(a.engine, Permission.REPORTS_DAY_EXPORT)
    token = a.vault.load(account_of(live_shop.url, "chen"))
    assert len(token) == 43
    a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
    rotated = a.vault.load(account_of(live_shop.url, "chen"))
    assert rotated != token
    a.engine.stop()
    written = b"".join(path.read_bytes() for path in a.folders.home.rglob("*") if path.is_file())
    assert b'"login":"chen"' in written
    for secret in (token, rotated, PASSWORD):
        assert secret.encode() not in written
    assert all(token not in repr(event) and rotated not in repr(event) for event in a.events)


@pytest.mark.parametrize(
    ("login", "password"),
    [pytest.param("chen", "wrong horse battery", id="password"), pytest.param("nobody", PASSWORD, id="name")],
)
def test_a_wrong_sign_in_is_refused_in_the_servers_words(live_shop, console, login, password):
    a = console()
    work = session.sign_in(a.engine, server=live_shop.url, login=login, password=SecretStr(password))
    with pytest.raises(KamengError) as caught:
        a.run(work)
    assert caught.value.code == "wrong_sign_in"
    assert session.current(a.engine) is None
    assert a.told(SignedIn) == []
    with pytest.raises(NotSignedIn):
        a.run(products.list_products(a.engine))


def test_the_next_start_is_signed_in_without_a_password(live_shop, console):
    vault = MemoryVault()
    a = console(vault=vault)
    a.sign_in(live_shop.url, "chen")
    a.engine.stop()
    again = console(vault=vault)
    assert again.engine.account.person.login == "chen"
    assert [lot.sku for lot in again.run(stock.list_stock(again.engine)).value.items] == ["MUSIC-30", "STEAM-50"]


def test_without_the_token_the_next_start_asks_again(live_shop, console):
    a = console()
    a.sign_in(live_shop.url, "chen")
    a.engine.stop()
    again = console(vault=MemoryVault())
    assert again.engine.account is None
    assert again.engine.connection.state is Connection.SIGNED_OUT


def test_two_programs_of_one_user_share_a_rotating_token(live_shop, console):
    vault = MemoryVault()
    a = console(vault=vault, follow=False)
    a.sign_in(live_shop.url, "chen")
    b = console(vault=vault, follow=False)
    for one in (a, b, b, a, b, a):
        one.run(one.engine.session.greet())
        assert one.run(stock.list_stock(one.engine)).live
    assert a.told(SignedOut) == b.told(SignedOut) == []


def test_a_lost_answer_to_hello_does_not_lock_the_user_out(live_shop, console):
    with Line(live_shop.port) as line:
        a = console(follow=False)
        a.sign_in(line.url, "chen")
        before = a.vault.load(account_of(line.url, "chen"))
        line.lose_answers = 1
        with pytest.raises(Unreachable):
            a.run(a.engine.session.greet())
        assert a.vault.load(account_of(line.url, "chen")) == before
        a.run(a.engine.session.greet())
        assert a.vault.load(account_of(line.url, "chen")) != before
        assert a.run(stock.list_stock(a.engine)).live


@pytest.mark.parametrize("round_", range(3))
def test_closing_the_window_in_the_middle_of_a_hello_keeps_the_new_token(in_shop, console, round_):
    reached, release = threading.Event(), threading.Event()

    with in_shop(wrap=held_at("/sync/v1/hello", reached, release)) as shop:
        a = console()
        a.sign_in(shop.url, "chen")
        before = a.vault.load(account_of(shop.url, "chen"))
        assert reached.wait(30)
        threading.Timer(0.05 * round_, release.set).start()
        a.engine.stop()
        assert a.vault.load(account_of(shop.url, "chen")) != before


def test_a_session_ended_on_the_server_ends_here(live_shop, console):
    vault = MemoryVault()
    a = console(vault=vault)
    a.sign_in(live_shop.url, "chen")
    a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
    b = console("b", vault=vault, follow=False)
    b.sign_in(live_shop.url, "li")
    with live_shop.world.ctx.db.tx() as tx:
        assert identity.end_sessions_of(tx, live_shop.world.users["chen"], reason="revoked") == 1
    with pytest.raises(SessionEnded):
        a.run(stock.list_stock(a.engine))
    ended = a.wait_for(lambda e: isinstance(e, SignedOut))
    assert ended.why.code == "session_ended"
    assert a.engine.account is None
    assert a.engine.connection.state is Connection.SIGNED_OUT
    assert vault.load(account_of(live_shop.url, "chen")) is None
    assert vault.load(account_of(live_shop.url, "li")) is not None


def test_signing_out_makes_the_token_worthless_and_forgets_the_lists(live_shop, console):
    a = console()
    a.sign_in(live_shop.url, "chen")
    a.run(products.list_products(a.engine))
    token = a.vault.load(account_of(live_shop.url, "chen"))
    left = a.run(session.sign_out(a.engine))
    assert (left.login, left.server) == ("chen", live_shop.url)
    assert a.vault.load(account_of(live_shop.url, "chen")) is None
    other = console("b", remember=False, follow=False)
    with pytest.raises(NotSignedIn):
        other.run(session.sign_in_with_token(other.engine, server=live_shop.url, token=SecretStr(token)))
    a.engine.stop()
    with sqlite3.connect(a.folders.replica_file) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (0,)
    db.close()


def held_at(path, reached, release):
    """Wraps the server: what is asked at `path` waits to be looked at until it is released."""

    def wrap(asgi):
        async def slow(scope, receive, send):
            if scope["type"] == "http" and scope["path"] == path:
                reached.set()
                await asyncio.to_thread(release.wait, 30)
            await asgi(scope, receive, send)

        return slow

    return wrap


@pytest.mark.parametrize("path", ["/api/products", "/sync/v1/hello"])
def test_what_was_asked_before_a_person_left_says_nothing_afterwards(in_shop, console, path):
    reached, release = threading.Event(), threading.Event()
    with in_shop(wrap=held_at(path, reached, release)) as shop:
        a = console(follow=False)
        a.sign_in(shop.url, "chen")
        greeting = path == "/sync/v1/hello"
        asked = a.engine.submit(a.engine.session.greet() if greeting else products.list_products(a.engine))
        assert reached.wait(30)
        a.run(session.sign_out(a.engine))
        release.set()
        with pytest.raises(NotSignedIn):
            asked.result(30)
        assert [event.why for event in a.told(SignedOut)] == [None]
        assert a.engine.account is None


def test_signing_out_works_offline(live_shop, console):
    with Line(live_shop.port) as line:
        a = console(follow=False)
        a.sign_in(line.url, "chen")
        line.cut()
        a.run(session.sign_out(a.engine))
        assert a.engine.account is None
        assert a.vault.load(account_of(line.url, "chen")) is None


def test_a_token_of_somebody_else_is_used_and_not_kept(live_shop, console):
    a = console()
    a.sign_in(live_shop.url, "chen")
    lender = console("lender", follow=False)
    lender.sign_in(live_shop.url, "zhou")
    token = lender.vault.load(account_of(live_shop.url, "zhou"))
    borrower = console(vault=a.vault, remember=False, follow=False)
    borrower.run(session.sign_in_with_token(borrower.engine, server=live_shop.url, token=SecretStr(token)))
    assert borrower.run(orders.list_orders(borrower.engine)).value.items == []
    assert a.vault.load(account_of(live_shop.url, "zhou")) is None
    borrower.engine.stop()
    a.engine.stop()
    again = console(vault=a.vault)
    assert again.engine.account.person.login == "chen"


def test_the_console_opens_offline_with_what_it_saw_last(live_shop, console):
    vault = MemoryVault()
    with Line(live_shop.port) as line:
        a = console(vault=vault)
        a.sign_in(line.url, "chen")
        a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
        with clock.fixed(datetime(2026, 11, 21, 1, 42, tzinfo=UTC)):
            seen = a.run(products.list_products(a.engine))
        assert seen.live
        a.engine.stop()
        line.cut()
        again = console(vault=vault)
        remembered = again.run(products.list_products(again.engine))
        assert (remembered.live, remembered.as_of) == (False, datetime(2026, 11, 21, 1, 42, tzinfo=UTC))
        assert remembered.value == seen.value
        assert again.run(products.recall_products(again.engine)) == remembered
        offline = again.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.OFFLINE)
        assert offline.why.code == "unreachable"
        # What was never seen has nothing to show: the reason is told instead.
        with pytest.raises(Unreachable):
            again.run(stock.list_stock(again.engine))
        line.mend()
        again.engine.hint()
        again.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
        assert again.run(stock.list_stock(again.engine)).live


def test_what_one_person_saw_is_not_shown_to_the_next(live_shop, console):
    with Line(live_shop.port) as line:
        a = console(follow=False)
        a.sign_in(line.url, "wang")
        everything = a.run(products.list_products(a.engine)).value.items
        assert len(everything) == 3
        a.sign_in(line.url, "zhao")
        line.cut()
        with pytest.raises(Unreachable):
            a.run(products.list_products(a.engine))
    a.engine.stop()
    assert b"steam" not in a.folders.replica_file.read_bytes().lower() or _rows(a.folders.replica_file) == []


def _rows(path) -> list:
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT scope, list FROM seen").fetchall()
    db.close()
    return rows


def test_changes_made_elsewhere_arrive(live_shop, console):
    a = console()
    a.sign_in(live_shop.url, "chen")
    a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
    a.run(stock.list_stock(a.engine))
    a.events.clear()
    live_shop.world.stock("STEAM-50", 3)
    a.engine.hint()
    arrived = a.wait_for(lambda e: getattr(e, "entities", None) and e.initiator is None and "*" not in e.entities)
    assert arrived.touches("import", "lot", "stock", "sku")
    assert {row.sku: row.free for row in a.run(stock.list_stock(a.engine)).value.items}["STEAM-50"] == 3


def _told_restored(settings, monkeypatch):
    """What somebody types who has restored a backup."""
    monkeypatch.setattr(cli.telemetry, "start_logging", lambda _level: None)
    monkeypatch.setenv("KAMENG_DATA", str(settings.data))
    monkeypatch.setenv("KAMENG_DATABASE_URL", settings.database_url)
    umask = os.umask(0o077)
    assert cli.main(["restored"]) == 0
    os.umask(umask)


def test_after_the_server_came_back_from_a_backup_every_list_is_read_again(live_shop, console, monkeypatch):
    a = console()
    a.sign_in(live_shop.url, "chen")
    a.wait_for(lambda e: isinstance(e, ConnectionChanged) and e.state is Connection.ONLINE)
    live_shop.world.stock("STEAM-50", 3)
    a.engine.hint()
    a.wait_for(lambda e: getattr(e, "entities", None) and e.initiator is None and "*" not in e.entities)
    a.events.clear()
    _told_restored(live_shop.world.ctx.settings, monkeypatch)  # the feed is where it was, and that is not seen from it
    a.engine.hint()
    a.wait_for(lambda e: "*" in getattr(e, "entities", ()))
    a.events.clear()
    live_shop.world.stock("STEAM-50", 1)
    a.engine.hint()
    a.wait_for(lambda e: getattr(e, "entities", None) and "*" not in e.entities and e.touches("import"))
    a.events.clear()
    with live_shop.world.ctx.db.tx() as tx:  # as a backup of before the first change has it
        tx.execute(delete(ChangeLog))
        tx.execute(update(ChangeHead).values(pos=0))
    a.engine.hint()
    a.wait_for(lambda e: "*" in getattr(e, "entities", ()))
    a.events.clear()
    live_shop.world.stock("STEAM-50", 2)
    a.engine.hint()
    follows = a.wait_for(lambda e: getattr(e, "entities", None) and "*" not in e.entities and e.touches("import"))
    assert follows.initiator is None


def test_an_address_that_is_not_a_shop_is_said_so(tmp_path, console):
    import http.server
    import threading

    class Hotel(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome to our hotel</html>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hotel) as hotel:
        threading.Thread(target=hotel.serve_forever, daemon=True).start()
        a = console()
        with pytest.raises(NotKameng) as caught:
            a.sign_in(f"http://127.0.0.1:{hotel.server_address[1]}", "chen")
        assert "HTTP 200" in caught.value.sentence("zh")
        hotel.shutdown()


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("shop.example.com", "https://shop.example.com"),
        (" https://shop.example.com/ ", "https://shop.example.com"),
        ("https://shop.example.com:8443/kameng/", "https://shop.example.com:8443/kameng"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_completed(typed, base):
    assert normalise_server(typed) == base


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "http://shop.example.com",
        "ftp://shop.example.com",
        "https://me:pw@shop.example.com",
        "https://a?b=1",
        "https://shop.example.com:99999",
    ],
)
def test_an_address_that_would_leak_or_cannot_work_is_refused(typed):
    with pytest.raises(BadField):
        normalise_server(typed)


def test_plain_http_elsewhere_needs_a_decision():
    assert normalise_server("http://10.0.0.5:8000", allow_plain=True) == "http://10.0.0.5:8000"


def test_the_account_on_disk_holds_no_secret(live_shop, console):
    a = console()
    a.sign_in(live_shop.url, "chen")
    a.run(a.engine.session.greet())
    stored = json.loads(a.run(a.engine.stores.outbox(lambda outbox: outbox.setting("account"))))
    assert set(stored) == {"server", "person", "import_key", "epoch"}
    assert set(stored["import_key"]) == {"key_id", "public_key", "chunk_rows", "chunk_bytes"}
