"""A merchant of the payment sandbox, built on `cryptography` and httpx alone: no code of the shop, none of the sandbox.

`SandboxProcess` starts the real program on a free port; `Merchant` signs requests and verifies answers; `Receiver` is
a real HTTP server that collects callbacks and answers them as a test says.
"""

import base64
import contextlib
import json
import os
import queue
import secrets
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from server.sandbox.app import main
from tests import forks
from tests.rsa_keys import rsa_key

ROOT = Path(__file__).parents[3]
SUCCESS = (200, b'{"code":"SUCCESS"}')
PATIENCE_SECONDS = 60  # how long a test waits for what must come; nothing waits this long when all is well


def plain_client(**options) -> httpx.Client:
    """A client for plain HTTP on this machine; reading certificates takes it longer than a hundred requests."""
    return httpx.Client(trust_env=False, verify=False, timeout=PATIENCE_SECONDS, **options)


def start_arguments(*arguments: str) -> list[str]:
    """Return the command that starts a sandbox."""
    return [sys.executable, "-m", "server.sandbox", *arguments]


class SandboxProcess:
    """The sandbox as its own process over one data folder; may be killed and started again.

    All have the keys that the first one made: half a dozen RSA keys take longer than most tests.
    """

    _keys: ClassVar[dict[Path, bytes]] = {}

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self._said = data.with_name(f"{data.name}.log")
        self._arguments = arguments
        for name, content in self._keys.items():
            path = data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(content)
        self.start()
        if not self._keys:
            files = (path for path in data.rglob("*.pem") if "merchants" not in path.parts)
            self._keys.update({path.relative_to(data): path.read_bytes() for path in files})

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._said.unlink(missing_ok=True)
        reader, writer = forks.context().Pipe(duplex=False)
        arguments = ["--data", str(self.data), "--port", "0", *self._arguments]
        self._process = forks.start(main, arguments, environment=os.environ.copy(), out=writer, err=self._said)
        writer.close()
        with reader, os.fdopen(os.dup(reader.fileno())) as out:
            line = out.readline()
        assert line, f"the sandbox did not start: {self._said.read_text()}"
        self.ready = json.loads(line)
        self.url = self.ready["url"]

    def kill(self) -> None:
        """End it the hard way: no handler runs, nothing is flushed."""
        self._process.kill()
        self._process.join()

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; return its exit status and all it said on stderr."""
        self._process.terminate()
        self._process.join(PATIENCE_SECONDS)
        return self._process.exitcode, self._said.read_text()


@dataclass(frozen=True)
class Callback:
    """One delivery as it arrived."""

    headers: dict[str, str]
    raw: bytes

    @property
    def content(self) -> dict:
        return json.loads(self.raw)


class Receiver:
    """A shop's callback address. Each test uses a path of its own; `answers[path]` are used up before SUCCESS."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.always: dict[str, tuple[int, bytes]] = {}
        self._arrived: dict[str, queue.Queue[Callback]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1  # one write for each answer

            def do_GET(self) -> None:
                """A notification whose facts stand in the address: they are its body here, as they are for a shop."""
                path, _, query = self.path.partition("?")
                self._take(path, query.encode())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                raw = self.rfile.read(length)
                if len(raw) == length:  # else its sender was killed in the middle of it
                    self._take(self.path, raw)

            def _take(self, path: str, raw: bytes) -> None:
                status, body = receiver._answer(path)
                receiver._inbox(path).put(Callback({k.lower(): v for k, v in self.headers.items()}, raw))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                with contextlib.suppress(OSError):  # the caller may have been killed meanwhile
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256  # the default of five drops the callbacks of a crowd

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _inbox(self, path: str) -> "queue.Queue[Callback]":
        # In one step: a defaultdict would give a sender and the test a queue each when both come first.
        return self._arrived.setdefault(path, queue.Queue())

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path in self.always:
            return self.always[path]
        return self.answers[path].pop(0) if self.answers[path] else SUCCESS

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def next(self, path: str) -> Callback:
        """Return the next delivery to `path`, waiting for it."""
        return self._inbox(path).get(timeout=PATIENCE_SECONDS)

    def waiting(self, path: str) -> int:
        """Return how many deliveries to `path` arrived and were not looked at."""
        return self._inbox(path).qsize()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Merchant:
    """A merchant of one sandbox."""

    sandbox: SandboxProcess
    merchant_id: str = "shop-1"
    name: str = "晴川点卡专营店"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key("merchant"))
    http: httpx.Client = field(default_factory=plain_client)
    _ends: dict[str, str] = field(default_factory=dict)

    def register(self) -> "Merchant":
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        path = self.sandbox.data / "merchants" / f"{self.merchant_id}.pem"
        path.write_bytes(f"Name: {self.name}\n".encode() + pem)
        return self

    # Requests

    def headers(self, method: str, target: str, body: bytes = b"", *, nonce: str = "", timestamp: int = 0) -> dict:
        nonce = nonce or secrets.token_hex(16)
        timestamp = timestamp or int(time.time())
        message = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Sandbox-Merchant": self.merchant_id,
            "Sandbox-Timestamp": str(timestamp),
            "Sandbox-Nonce": nonce,
            "Sandbox-Signature": base64.b64encode(signature).decode(),
        }

    def call(self, method: str, target: str, content: dict | None = None) -> httpx.Response:
        """Send a signed request; whatever comes back must be signed by the sandbox."""
        body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        answer = self.http.request(
            method, self.sandbox.url + target, content=body, headers=self.headers(method, target, body)
        )
        assert self.is_from_sandbox(answer.headers, answer.content)
        return answer

    def payment(self, out_trade_no: str, **changes: object) -> dict:
        """Return the content of a request for a payment; asked for again, it ends when it did before."""
        ends = (datetime.now(UTC) + timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "merchant_id": self.merchant_id,
            "out_trade_no": out_trade_no,
            "amount_fen": 12880,
            "currency": "CNY",
            "subject": "星海网游点卡 100 元面值 × 1",
            "notify_url": "http://127.0.0.1:9/nobody",
            "return_url": "http://127.0.0.1:9/o/ABC?from=pay&x=1",
            "expires_at": self._ends.setdefault(out_trade_no, ends),
        } | changes

    def create(self, out_trade_no: str, **changes: object) -> str:
        """Create a payment and return the address of its page."""
        answer = self.call("POST", "/v1/payments", self.payment(out_trade_no, **changes))
        assert answer.status_code == 200, answer.text
        return answer.json()["pay_url"]

    def query(self, out_trade_no: str) -> dict:
        return self.call("GET", f"/v1/payments/{out_trade_no}").json()

    def close(self, out_trade_no: str) -> httpx.Response:
        return self.call("POST", f"/v1/payments/{out_trade_no}/close")

    def refund(self, out_refund_no: str, out_trade_no: str, amount_fen: int, reason: str = "未发货") -> httpx.Response:
        content = {
            "out_refund_no": out_refund_no,
            "out_trade_no": out_trade_no,
            "amount_fen": amount_fen,
            "reason": reason,
        }
        return self.call("POST", "/v1/refunds", content)

    # The buyer

    def submit(self, pay_url: str, action: str = "pay", **faults: object) -> httpx.Response:
        """Press a button of the payment page, as a browser without JavaScript does."""
        form = {"action": action, "fault_copies": "", "fault_delay_seconds": "", "fault_amount_fen": ""}
        return self.http.post(pay_url, data=form | {name: str(value) for name, value in faults.items()})

    def pay(self, pay_url: str, **faults: object) -> None:
        answer = self.submit(pay_url, **faults)
        assert (answer.status_code, answer.headers["location"]) == (303, urlsplit(pay_url).path + "/result")

    def result_page(self, pay_url: str, *, until: str = "") -> str:
        """Return the result page, asking again until it says `until`."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            page = self.http.get(pay_url + "/result").text
            if until in page:
                return page
            assert time.monotonic() < give_up_at, f"{until!r} never appeared in {page}"

    # Verifying

    def is_from_sandbox(self, headers: dict[str, str] | httpx.Headers, raw: bytes) -> bool:
        """Whether `raw` was signed by the key the sandbox published."""
        public_key = serialization.load_pem_public_key(Path(self.sandbox.ready["public_key"]).read_bytes())
        message = f"{headers['sandbox-timestamp']}\n{headers['sandbox-nonce']}\n".encode() + raw + b"\n"
        try:
            public_key.verify(
                base64.b64decode(headers["sandbox-signature"], validate=True),
                message,
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return False
        return True
