"""A thousand planted keys live a whole life through real processes, and not one is found in what these leave behind.

Imported by the console, resumed after both programs were killed, sold, shown to a buyer and to staff, searched for,
re-encrypted, met by a fault: then databases, write-ahead logs, logs at DEBUG, the key ring, the console's outbox and
replica, temporary and crash files are searched. The search proves on the same keys that it finds.
"""

import base64
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from server.crypto import KeyRing, LotKey
from shared import ids
from shared.cardkey import SEPARATOR
from shared.contracts.stock import find_info
from tests.e2e.leaks import HALF, planted, traces, traces_below
from tests.e2e.live_shop import LiveShop, prepared_shop, prove, start_server, stop_server, wait_until_ready
from tests.fault import dying_server
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, plain_client
from tests.world import _SEAL, PASSWORD

COUNT = 500
NUMBERS, SECRETS, SINGLES = (planted(COUNT, seed=seed) for seed in (1, 2, 3))
BOUGHT = 25  # 20 that the shop had before, and 5 planted ones


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop").mkdir()
    with prepared_shop(tmp_path / "shop") as prepared:
        temporary = tmp_path / "shop" / "tmp"
        temporary.mkdir()
        prepared.environment.update(KAMENG_LOG_LEVEL="DEBUG", TMPDIR=str(temporary))
        yield prepared


def enrolled(shop: LiveShop, login: str) -> pyotp.TOTP:
    """A person's second factor, enrolled by the operator's command; codes of now and later are unused."""
    command = [sys.executable, "-m", "server", "user", "totp", login]
    with subprocess.Popen(
        command, env=shop.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as run:
        factor = pyotp.TOTP(run.stdout.readline().strip())
        time.sleep(max(0, time.time() % 30 - 27))  # not while one half minute ends
        run.communicate(factor.at(int(time.time()) - 30) + "\n", timeout=PATIENCE_SECONDS)
    assert run.returncode == 0
    return factor


def console(shop: LiveShop, folder: Path, file: Path, sku: str) -> subprocess.Popen:
    """`kameng import` of a file, in a console of its own below `folder`."""
    (folder / "password").write_text(PASSWORD)
    environment = os.environ | {
        "KAMENG_HOME": str(folder / "console"),
        "KAMENG_SERVER": shop.url,
        "KAMENG_USER": "chen",
        "KAMENG_PASSWORD_FILE": str(folder / "password"),
        "KAMENG_CREDENTIALS": "memory",
        "TMPDIR": shop.environment["TMPDIR"],
    }
    command = [sys.executable, "-m", "desktop", "import", str(file), "--sku", sku]
    with (folder / "import.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)


def imported(shop: LiveShop, folder: Path, file: Path, sku: str) -> None:
    log = folder / "import.log"
    assert console(shop, folder, file, sku).wait(PATIENCE_SECONDS * 4) == 0, log.read_text()[-3_000:]


def killed_while_uploading(shop: LiveShop, folder: Path, file: Path, sku: str) -> None:
    """Both programs die when the server has stored the first chunk and nobody knows."""
    moment = "chunk stored, not committed"
    server = dying_server.start(["serve"], environment=shop.environment, log=shop.log, moment=moment)
    wait_until_ready(shop, server.is_alive)
    importing = console(shop, folder, file, sku)
    server.join(PATIENCE_SECONDS)
    assert server.exitcode == -9
    importing.kill()
    importing.wait()


def rows(shop: LiveShop, query: str) -> list:
    with closing(sqlite3.connect(Path(shop.environment["KAMENG_DATA"]) / "kameng.db")) as books:
        return books.execute(query).fetchall()


def bought(shop: LiveShop) -> tuple[httpx.Client, str]:
    """A buyer who has paid for old and planted keys, and the page of the order."""
    buyer = plain_client(base_url=shop.url)
    buyer.get("/review?sku=MUSIC-30").raise_for_status()
    body = {"sku": "MUSIC-30", "quantity": BOUGHT, "amount_fen": 1_250 * BOUGHT, "channel": "sandbox"}
    headers = {"Idempotency-Key": ids.new_token(), "Sec-Fetch-Site": "same-origin"}
    placed = buyer.post("/api/orders", json=body, headers=headers)
    assert placed.status_code == 201, placed.text
    code, pay_url = placed.json()["code"], placed.json()["pay_url"]
    assert buyer.post(pay_url, data={"action": "pay"}).status_code == 303
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while buyer.get(f"/o/{code}/status").json()["state"] != "delivered":
        assert time.monotonic() < give_up_at, shop.log.read_text()[-3_000:]
        time.sleep(0.05)
    return buyer, f"/o/{code}"


def complain(buyer: httpx.Client, page: str, words: str) -> None:
    """Ask for a new key in these words, as a browser without scripts does."""
    same = {"Sec-Fetch-Site": "same-origin"}
    asked = {"key": ["1"], "reason": "defective", "wish": "replacement", "text": words}
    checked = buyer.post(f"{page}/refund/check", data=asked, headers=same)
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', checked.text))
    assert hidden["text"] == words, checked.text
    assert buyer.post(f"{page}/refund", data=hidden, headers=same).status_code == 303


def staff(shop: LiveShop, factor: pyotp.TOTP) -> httpx.Client:
    """The operator li, signed in with the code of now."""
    device = {"id": str(ids.new_id()), "name": "test", "platform": "test"}
    body = {"login": "li", "password": PASSWORD, "totp": factor.at(int(time.time())), "device": device}
    person = plain_client(base_url=shop.url)
    answer = person.post("/api/session", json=body)
    assert answer.status_code == 201, answer.text
    person.headers["authorization"] = f"Bearer {answer.json()['token']}"
    return person


def search(shop: LiveShop, person: httpx.Client) -> dict:
    """What the shop answers to keys that were pasted, sealed as a console seals them."""
    ring, search_id = _ring(shop), ids.new_id()
    keys = [*zip(NUMBERS[:100], SECRETS[:100], strict=True), *(("", single) for single in SINGLES[:100])]
    packed = msgspec.msgpack.encode(keys)
    public = _public_key(ring)
    sealed = base64.b64encode(_SEAL.encrypt(packed, public, find_info(search_id))).decode()
    body = {"id": str(search_id), "key_id": ring.import_key_id, "sealed": sealed}
    answer = person.post("/api/stock/find", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _ring(shop: LiveShop) -> KeyRing:
    return KeyRing.load(Path(shop.environment["KAMENG_DATA"]) / "keyring.json")


def _public_key(ring: KeyRing):
    return X25519PublicKey.from_public_bytes(ring.import_public_key)


def break_a_sold_card(shop: LiveShop) -> None:
    """Seal a sold key as no version writes it: opening it works, reading it is an exception with the key at hand."""
    lot_id, sku_id, first, wrapped, master = rows(
        shop, "SELECT id, sku_id, first_seq, wrapped_key, master_version FROM stock_lot WHERE file_name = 'singles.txt'"
    )[0]
    cipher = _ring(shop).lot(UUID(bytes=lot_id), LotKey(wrapped, master))
    [sealed] = cipher.seal_all(UUID(bytes=sku_id), first, [SINGLES[0].encode()])
    with closing(sqlite3.connect(Path(shop.environment["KAMENG_DATA"]) / "kameng.db", timeout=30)) as books, books:
        books.execute("UPDATE card_secret SET sealed = ? WHERE sku_id = ? AND seq = ?", (sealed, sku_id, first))


def test_the_search_finds_every_key_in_every_dress(tmp_path):
    whole = [f"{number}{SEPARATOR}{secret}" for number, secret in zip(NUMBERS, SECRETS, strict=True)] + SINGLES
    halves = [text[at : at + HALF] for text in [*NUMBERS, *SECRETS, *SINGLES] for at in (0, HALF)]
    assert len(set(halves)) == 6 * COUNT
    dresses = {
        "plain": str.encode,
        "utf-16-le": lambda text: text.encode("utf-16-le"),
        "utf-16-be": lambda text: text.encode("utf-16-be"),
        "hex": lambda text: text.encode().hex().encode(),
        "HEX": lambda text: text.encode().hex().upper().encode(),
        "base64": lambda text: base64.b64encode(text.encode()),
        "base64 of more": lambda text: base64.b64encode(b'{"k":"' + text.encode() + b'"}'),
        "base64 of yet more": lambda text: base64.urlsafe_b64encode(b"\xff\xfa{" + text.encode() + b"}" * 3),
    }
    for name, dress in dresses.items():
        for text in [*whole, *halves]:
            found = "".join(traces(b"\0\x01 " + dress(text) + b"\n"))
            assert text[:HALF] in found, (name, text)
        (tmp_path / name).write_bytes(os.urandom(50_000) + dress(halves[7]) + os.urandom(50_000))
    assert {path for path, _ in traces_below(tmp_path)} == set(dresses)


def test_no_key_is_left_anywhere(shop, tmp_path):
    source, searched = tmp_path / "source", tmp_path / "shop"
    source.mkdir()
    pairs, singles = source / "pairs.txt", source / "singles.txt"
    pairs.write_text("".join(f"{number},{secret}\n" for number, secret in zip(NUMBERS, SECRETS, strict=True)))
    singles.write_text("".join(f"{single}\n" for single in SINGLES))
    factor = enrolled(shop, "li")

    killed_while_uploading(shop, searched, pairs, "STEAM-50")
    left = [path.name for path in (searched / "console").rglob("*") if path.is_file()]
    assert "outbox.db" in left
    assert list(traces_below(searched)) == []

    server = start_server(shop)
    imported(shop, searched, pairs, "STEAM-50")
    imported(shop, searched, singles, "MUSIC-30")
    stored = rows(shop, "SELECT file_name, stored, refused FROM stock_import WHERE chunk_count IS NOT NULL")
    assert {row for row in stored if row[0].endswith("s.txt")} == {("pairs.txt", COUNT, 0), ("singles.txt", COUNT, 0)}

    (buyer, page), person = bought(shop), staff(shop, factor)
    with closing(buyer), closing(person):
        shown = buyer.get(f"{page}/keys.txt").text
        assert [single in shown for single in SINGLES[:6]] == [True] * 5 + [False]
        [[first]] = rows(shop, "SELECT first_seq FROM stock_lot WHERE file_name = 'pairs.txt'")
        body = {"reason": "核对投诉", "totp": factor.at(int(time.time()) + 30)}
        revealed = person.post(f"/api/stock/STEAM-50/units/{first + 7}/reveal", json=body)
        assert (revealed.json()["number"], revealed.json()["secret"]) == (NUMBERS[7], SECRETS[7])
        assert len(search(shop, person)["found"]) == 200

        complain(buyer, page, f"{SINGLES[0]} 提示无效，{' '.join(SINGLES[1])} 也是")
        [[said]] = rows(shop, "SELECT reason FROM payment_refund")
        assert said == f"••••{SINGLES[0][-4:]} 提示无效，••••{SINGLES[1][-4:]} 也是"

        break_a_sold_card(shop)
        assert (buyer.get(f"{page}/keys.txt").status_code, buyer.get(page).status_code) == (500, 500)
    assert "unexpected exception" in shop.log.read_text()
    assert '"level":"DEBUG"' in shop.log.read_text()
    server.kill()
    server.join()
    assert (searched / "data" / "kameng.db-wal").stat().st_size > 0
    assert list(traces_below(searched)) == []

    assert shop.command("keys", "reencrypt", "--sku", "STEAM-50")[0] == 0
    stop_server(shop, start_server(shop))
    prove(shop)
    assert list(traces_below(searched)) == []
    assert len(list(traces_below(source))) == 2
