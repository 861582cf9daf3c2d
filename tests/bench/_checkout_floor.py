"""The floor of the checkout bench: the same steps by bare Starlette routes over the same tables, group committed.

Written by driver statements, set by set: the order, its line, its attempt and the held unit; the channel's answer; the
callback, the sale, the delivery and both journals; the reveal. The create call is signed and the callback's signature
checked, as no shop could leave out. Left out: rights, contracts, prices and limits, idempotency, states and exceptions,
late money, audit, the change feed, jobs, pages, headers and logs. Takes the server's settings; run by
`_shop.serving(..., module=...)`.
"""

import base64
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import uvicorn
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.crypto import LotKey
from server.db import Database
from server.settings import Settings
from shared import clock, ids
from tests.bench import _checkout_sql as sql
from tests.bench._group_commit import Writer
from tests.bench._wire import Line


class Floor:
    """The whole floor: a writer, a reading connection, kept lines to the channel, four routes."""

    def __init__(self, settings: Settings) -> None:
        from server.crypto import KeyRing

        self.keys = KeyRing.load(settings.key_ring_file)
        self.database = Database(settings.database_url)
        self.book = sql.Book(self.database)
        self.reader = self.book.connect(read_only=True)
        record = self.keys.channel("sandbox")
        self.private = load_pem_private_key(record["private"].encode(), None)
        self.public = load_pem_public_key(record["public"].encode())
        self.merchant = record["merchant_id"]
        self.channel_port = urlsplit(settings.sandbox_url or "").port or 0
        self.lines: list[Line] = []
        self.ciphers: dict[UUID, Any] = {}
        book = self.book
        handlers = {"apply": book.apply, "open": book.open, "reveal": book.reveal, "place": book.place}
        self.submit = Writer(book, handlers).submit

    # --- routes ---

    async def place(self, request: Request) -> Response:
        wanted = json.loads(await request.body())
        buyer = ids.new_id()
        order = await self.submit("place", buyer=buyer, sku=wanted["sku"], amount=wanted["amount_fen"])
        opened = await self.create(order["out_trade_no"], wanted["amount_fen"])
        await self.submit("open", attempt=order["attempt"], url=opened["pay_url"])
        body = json.dumps({"code": order["code"], "pay_url": opened["pay_url"]})
        return Response(body, 201, {"set-cookie": f"device={buyer.hex}; Path=/"}, media_type="application/json")

    async def create(self, number: str, amount: int) -> Any:
        body = json.dumps({"out_trade_no": number, "amount_fen": amount, "currency": "CNY"}).encode()
        stamp, nonce = str(int(clock.now().timestamp())), os.urandom(16).hex()
        message = f"POST\n/v1/payments\n{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode(self.private.sign(message, PKCS1v15(), SHA256())).decode()
        line = self.lines.pop() if self.lines else await Line.to(self.channel_port)
        headers = (
            f"Content-Type: application/json\r\nSandbox-Merchant: {self.merchant}\r\nSandbox-Timestamp: {stamp}\r\n"
            f"Sandbox-Nonce: {nonce}\r\nSandbox-Signature: {signature}\r\n"
        )
        answer = await line.ask("POST", "/v1/payments", headers, body)
        self.lines.append(line)
        names = dict(row.lower().split(": ", 1) for row in answer.head.decode().split("\r\n") if ": " in row)
        exact = dict(row.split(": ", 1) for row in answer.head.decode().split("\r\n") if ": " in row)
        self.check(names["sandbox-timestamp"], names["sandbox-nonce"], exact["Sandbox-Signature"], answer.body)
        return json.loads(answer.body)

    def check(self, stamp: str, nonce: str, signature: str, body: bytes) -> None:
        message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        self.public.verify(base64.b64decode(signature), message, PKCS1v15(), SHA256())

    async def notify(self, request: Request) -> Response:
        body, given = await request.body(), request.headers
        self.check(given["sandbox-timestamp"], given["sandbox-nonce"], given["sandbox-signature"], body)
        await self.submit("apply", notice=json.loads(body), body=body)
        return Response(b'{"code":"SUCCESS"}', media_type="application/json")

    async def status(self, request: Request) -> Response:
        order = self.book.order(self.reader, request.path_params["code"])
        assert order["buyer"].hex == request.cookies["device"]
        body = json.dumps({"code": order["code"], "state": order["state"]})
        return Response(body, media_type="application/json")

    async def page(self, request: Request) -> Response:
        order = self.book.order(self.reader, request.path_params["code"])
        assert order["buyer"].hex == request.cookies["device"]
        await self.submit("reveal", order=order["id"], line=order["line"], buyer=order["buyer"])
        card = self.book.card(self.reader, order["line"])
        lot = card["lot"]
        if lot not in self.ciphers:
            self.ciphers[lot] = self.keys.lot(lot, LotKey(wrapped=card["wrapped"], master_version=card["version"]))
        text = self.ciphers[lot].unseal(card["sku"], card["seq"], card["sealed"]).reveal()
        return Response(text, media_type="text/html")


async def livez(_request: Request) -> Response:
    """The process answers."""
    return Response(b"ok")


def main() -> int:
    """Serve until told to stop."""
    settings = Settings.from_environment()
    floor = Floor(settings)
    app = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/api/orders", floor.place, methods=["POST"]),
            Route("/pay/sandbox/notify", floor.notify, methods=["POST"]),
            Route("/o/{code}/status", floor.status),
            Route("/o/{code}", floor.page),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=settings.port, access_log=False, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
