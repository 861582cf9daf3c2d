"""The sandbox as a process: killed, refused, started twice, and ignorant of the shop."""

import ast
import itertools
import json
import os
import socket
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from server.sandbox.app import main
from server.sandbox.keys import load_or_make_pair
from tests import forks
from tests.bench._shop import free_port
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, Merchant, plain_client


def test_a_killed_sandbox_forgets_nothing_it_accepted(own_sandbox, receiver, number):
    path = f"/{number}"
    receiver.always[path] = (500, b"")
    process = own_sandbox("--retry-seconds", ",".join(["0.05"] * 100))
    shop = Merchant(process).register()
    public_key = Path(process.ready["public_key"]).read_bytes()
    headers = shop.headers("GET", f"/v1/payments/{number}")
    pay_url = shop.create(number, notify_url=receiver.url(path))
    assert shop.http.get(f"{process.url}/v1/payments/{number}", headers=headers).json()["state"] == "pending"
    shop.pay(pay_url)
    paid = shop.query(number)
    refund = shop.refund(f"R{number}", number, 80).json()
    event = receiver.next(path)
    process.kill()

    del receiver.always[path]
    process.start()
    assert Path(process.ready["public_key"]).read_bytes() == public_key
    assert shop.query(number) == paid
    assert shop.refund(f"R{number}", number, 80).json() == refund
    replayed = shop.http.get(f"{process.url}/v1/payments/{number}", headers=headers)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "SIGN_ERROR")
    assert "商家已确认" in shop.result_page(process.url + urlsplit(pay_url).path, until="商家已确认")
    last = receiver.next(path)
    while receiver.waiting(path):
        last = receiver.next(path)
    assert last.raw == event.raw
    assert shop.is_from_sandbox(last.headers, last.raw)
    shop.http.close()


def test_killed_in_the_middle_of_many_payments_every_accepted_one_is_announced(own_sandbox, receiver, number):
    path = f"/{number}"
    process = own_sandbox()
    shop = Merchant(process).register()
    pages = {f"{number}-{i}": shop.create(f"{number}-{i}", notify_url=receiver.url(path)) for i in range(60)}
    accepted = []
    answered = itertools.count(1)

    def buy(out_trade_no):
        try:
            shop.pay(pages[out_trade_no])
        except httpx.TransportError:
            return  # killed before it could answer: nothing was promised
        accepted.append(out_trade_no)
        if next(answered) == 30:
            process.kill()

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(buy, pages))
    assert len(accepted) >= 30
    process.start()
    told = set()
    while not told >= set(accepted):
        told.add(receiver.next(path).content["out_trade_no"])
    states = {out_trade_no: shop.query(out_trade_no)["state"] for out_trade_no in pages}
    assert {states[out_trade_no] for out_trade_no in accepted} == {"paid"}
    assert told <= {out_trade_no for out_trade_no, state in states.items() if state == "paid"}
    shop.http.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_a_private_key_is_for_its_owner_only(tmp_path):
    load_or_make_pair(tmp_path, "new")
    assert stat.S_IMODE((tmp_path / "new_private.pem").stat().st_mode) == 0o600
    assert (tmp_path / "new_public.pem").read_text().startswith("Kameng sandbox\n-----BEGIN PUBLIC KEY-----")


def test_it_does_not_start_with_a_real_merchant(tmp_path):
    merchants = tmp_path / "merchants"
    (merchants / "wechat").mkdir(parents=True)
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, content in (
        ("shop-1.pem", private),
        ("wechat/1900000109.json", b"{}"),
        ("wechat/9012345678.json", b'{"mchid": "1900000109"}'),
        ("wechat/9012345679.json", json.dumps({"public_key": _tenpays_certificate()}).encode()),
    ):
        path = merchants / name
        path.write_bytes(content)
        assert f"{path} holds a key or a number of a real merchant" in _refusal("--data", str(tmp_path), "--port", "0")
        path.unlink()


def _tenpays_certificate():
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _refusal(*arguments):
    """Start a sandbox that must not start; return the one sentence it says."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        started = forks.start(main, arguments, environment=os.environ.copy(), out=out, err=err)
        started.join(PATIENCE_SECONDS)
        assert (started.exitcode, out.read_text()) == (2, "")
        (sentence,) = err.read_text().splitlines()
    return sentence


def test_it_says_why_it_cannot_start(tmp_path, sandbox):
    data = str(tmp_path / "new")
    assert _refusal("--data", data, "--host", "0.0.0.0").startswith("沙箱只供测试，不会监听 0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"Port {port} is taken by another program" in _refusal("--data", data, "--port", port)
    assert not (tmp_path / "new").exists()
    assert "Another sandbox is using the data folder" in _refusal("--data", str(sandbox.data), "--port", "0")

    (tmp_path / "file").write_text("here")
    assert "cannot be used" in _refusal("--data", str(tmp_path / "file"), "--port", "0")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "sandbox_private.pem").write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n")
    assert "is damaged or holds no RSA private key" in _refusal("--data", str(tmp_path / "bad"), "--port", "0")
    (tmp_path / "bad" / "sandbox.db").write_bytes(b"no database" * 500)
    assert "is damaged: file is not a database" in _refusal("--data", str(tmp_path / "bad"), "--port", "0")


def test_told_explicitly_it_listens_beyond_loopback_under_the_given_address(own_sandbox, number):
    port = free_port()
    options = ("--host", "0.0.0.0", "--allow-public", "--base-url", "https://pay.example/box/", "--port", str(port))
    process = own_sandbox(*options)
    assert process.url == "https://pay.example/box"
    # Then whoever orders faults or pays without a page's secret address must know the testers' token.
    path = Path(process.ready["tester_token"])
    token, own = path.read_text(), {"host": "pay.example"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with plain_client(base_url=f"http://127.0.0.1:{port}", headers=own) as http:
        for address in ("/", "/bills", "/api/payments", "/?token=wrong", "/api/faults"):
            assert http.get(address).status_code == 401, address
        assert http.delete("/api/faults").status_code == 401
        assert http.get("/api/payments", headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert [http.get(path).status_code for path in ("/pay/nothing", "/scan?code=x")] == [404, 404]
        assert http.post("/v1/payments").status_code == 401  # a merchant's own address: it wants a signature
        led = http.get(f"/?token={token}")
        assert (led.status_code, led.headers["location"]) == (303, "/box/")
        kept = led.headers["set-cookie"]
        assert kept.endswith("; HttpOnly; Path=/; SameSite=strict; Secure")
        assert http.get("/", headers={"cookie": kept.partition(";")[0]}).status_code == 200
    process.kill()


def test_no_other_site_orders_faults_or_reads_what_is_paid(sandbox):
    with plain_client(base_url=sandbox.url) as http:
        for foreign in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
            for path, form in (("/", {"action": "end_all"}), ("/bills", {}), ("/pay/nothing", {"action": "pay"})):
                assert http.post(path, data=form, headers=foreign).status_code == 403, (path, foreign)
            assert http.request("DELETE", "/api/faults", headers=foreign).status_code == 403
        own = {"origin": sandbox.url}, {"sec-fetch-site": "same-origin"}, {}
        assert [http.post("/", data={"action": "end_all"}, headers=one).status_code for one in own] == [303] * 3
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
            for path in ("/", "/api/payments", "/bills"):
                assert http.get(path, headers={"host": host}).status_code == 403, (path, host)
        port = urlsplit(sandbox.url).port
        for host in (f"localhost:{port}", f"[::1]:{port}"):
            assert http.get("/", headers={"host": host}).status_code == 200


def test_it_knows_nothing_of_the_shop():
    files = sorted((ROOT / "server" / "sandbox").glob("**/*.py"))
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add("." * node.level + (node.module or ""))
    assert len(files) > 5
    ours = {
        name for name in imported if name.split(".")[0] in ("", "server", "shared", "desktop", "resources", "tests")
    }
    assert {name for name in ours if not name.startswith("server.sandbox.")} == set()
