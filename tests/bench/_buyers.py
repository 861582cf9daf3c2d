"""Buyers of the checkout bench and the payment channel they pay through, all in the bench's own process.

The sandbox process is left out, so that it is not what is measured: the channel here has a key pair of its own, whose
public half the shop's key ring knows. It answers the gateway's calls with signed JSON, the least that the protocol
asks for (docs/sandbox.md), and signs the notifications that the buyers' payments cause.

A buyer is a new device each time: order, payment notification, then polling the order's status until it is delivered,
then the page with the key. The time of an order is from its first byte sent until the key is read.
"""

import asyncio
import base64
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.bench._wire import Answering, Line
from tests.world import MERCHANT

_COOKIE = re.compile(rb"\r\nset-cookie: (device=[^;\r]+)", re.IGNORECASE)
_EMPHASIS = re.compile(r"</?b>")
_POLL_SECONDS = 0.005
_JSON = "Content-Type: application/json\r\n"


class Channel:
    """The stand-in for the sandbox: what was opened through it, and its signatures."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._opened: dict[str, dict[str, object]] = {}
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def public_pem(self) -> bytes:
        """For the shop's key ring."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    async def listen(self, port: int) -> None:
        """Answer the shop's gateway from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Answering(self._answer), "127.0.0.1", port)
        self.port = port

    def close(self) -> None:
        """Take no more calls."""
        if self._server is not None:
            self._server.close()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if method == "POST" and path == "/v1/payments":
            asked = json.loads(body)
            number = asked["out_trade_no"]
            self._opened[number] = asked | {"state": "pending", "trade_no": None, "paid_at": None}
            pay_url = f"http://127.0.0.1:{self.port}/pay/{number}"
            told = {"out_trade_no": number, "pay_url": pay_url, "qr_text": pay_url, "state": "pending"}
            return 200, *self._signed(told)
        known = self._opened.get(path.split("/")[3])
        if known is None:
            return 404, *self._signed({"code": "NOT_FOUND", "message": "-"})
        if method == "POST":  # close
            known["state"] = "closed" if known["state"] == "pending" else known["state"]
        return 200, *self._signed({name: known[name] for name in known if not name.endswith("_url")})

    def notification(self, number: str) -> tuple[str, bytes]:
        """The payment is made: the headers and body of the notification."""
        payment = self._opened[number]
        payment |= {"state": "paid", "trade_no": f"B{number}"[:32], "paid_at": datetime.now(UTC).isoformat()}
        told = {name: payment[name] for name in ("out_trade_no", "trade_no", "amount_fen", "currency", "paid_at")}
        told |= {"event_id": number, "event": "payment.paid", "merchant_id": MERCHANT, "payer": "-"}
        return self._signed(told)

    def _signed(self, told: dict[str, object]) -> tuple[str, bytes]:
        body = json.dumps(told).encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signature = self._key.sign(f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
        encoded = base64.b64encode(signature).decode()
        return (
            f"Sandbox-Timestamp: {timestamp}\r\nSandbox-Nonce: {nonce}\r\nSandbox-Serial: 1\r\n"
            f"Sandbox-Signature: {encoded}\r\n"
        ), body


@dataclass
class Bought:
    """What the buyers of one level got: seconds of each order, and the keys they read, in the order they were read."""

    buyers: int
    seconds: list[float] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    took: float = 0.0

    @property
    def per_second(self) -> float:
        """Orders from first byte to key, by the clock."""
        return len(self.seconds) / self.took


@dataclass(frozen=True)
class Market:
    """Where is bought, and what."""

    port: int
    channel: Channel
    sku: str
    amount_fen: int

    async def level(self, buyers: int, *, seconds: float) -> Bought:
        """That many buyers at once, each with the next order as soon as one is done, for the time given."""
        bought = Bought(buyers)
        started = time.perf_counter()
        await asyncio.gather(*(self._keep_buying(bought, started + seconds) for _ in range(buyers)))
        bought.took = time.perf_counter() - started
        return bought

    async def _keep_buying(self, bought: Bought, until: float) -> None:
        shop, channel = await Line.to(self.port), await Line.to(self.port)
        try:
            while time.perf_counter() < until:
                started = time.perf_counter()
                key = await self._buy(shop, channel)
                bought.seconds.append(time.perf_counter() - started)
                bought.keys.append(key)
        finally:
            shop.close()
            channel.close()

    async def _buy(self, shop: Line, channel: Line) -> str:
        wanted = {"sku": self.sku, "quantity": 1, "amount_fen": self.amount_fen, "channel": "sandbox"}
        placed = await shop.ask(
            "POST",
            "/api/orders",
            f"{_JSON}Idempotency-Key: {secrets.token_hex(12)}\r\n",
            json.dumps(wanted).encode(),
        )
        assert placed.status == 201, placed.body
        cookie = _COOKIE.search(placed.head)
        assert cookie is not None, placed.head
        mine = f"Cookie: {cookie[1].decode()}\r\n"
        order = json.loads(placed.body)
        headers, body = self.channel.notification(order["pay_url"].rpartition("/")[2])
        told = await channel.ask("POST", "/pay/sandbox/notify", _JSON + headers, body)
        assert (told.status, told.body) == (200, b'{"code":"SUCCESS"}'), told
        while True:
            status = await shop.ask("GET", f"/o/{order['code']}/status", mine)
            assert status.status == 200, status
            if json.loads(status.body)["state"] == "delivered":
                break
            await asyncio.sleep(_POLL_SECONDS)
        page = await shop.ask("GET", f"/o/{order['code']}", f"{mine}Accept: text/html\r\n")
        assert page.status == 200, page
        text = _EMPHASIS.sub("", page.body.decode())  # the page sets digits and letters apart
        keys = set(re.findall(rf"{self.sku}-\d{{6}}-[0-9A-F]{{12}}", text))
        assert len(keys) == 1, f"{len(keys)} keys on the page of a delivered order"
        return keys.pop()
