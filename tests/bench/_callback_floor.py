"""The floor of the callbacks bench: a bare Starlette route over the same tables, group committed (see _group_commit).

What no shop could leave out: the signature is verified over the raw bytes, the resource opened, a repeat recognised,
and the callback, the paid attempt, the sale, the delivery and both journals written by the driver, set by set. Left
out: contracts, the time window and choice of keys, merchant, amount and state, exceptions and late money, audit, the
change feed, jobs, headers and logs. Takes the server's settings; run by `_shop.serving(..., module=...)`.
"""

import base64
import json
import sys

import uvicorn
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.crypto import KeyRing
from server.db import Database
from server.settings import Settings
from tests.bench._checkout_floor import livez
from tests.bench._checkout_sql import Book
from tests.bench._group_commit import Writer


class Floor:
    """The keys of the channel, a writer, and one route."""

    def __init__(self, settings: Settings) -> None:
        record = KeyRing.load(settings.key_ring_file).channel("wechat")
        public = load_pem_public_key(record["public"].encode())
        assert isinstance(public, RSAPublicKey)
        self.public, self.cipher = public, AESGCM(record["api_v3_key"].encode())
        book = Book(Database(settings.database_url))
        self.submit = Writer(book, {"apply": book.apply_once}).submit

    async def notify(self, request: Request) -> Response:
        """Verify, open, apply once, acknowledge."""
        body, given = await request.body(), request.headers
        message = f"{given['wechatpay-timestamp']}\n{given['wechatpay-nonce']}\n".encode() + body + b"\n"
        self.public.verify(base64.b64decode(given["wechatpay-signature"]), message, PKCS1v15(), SHA256())
        sealed = json.loads(body)["resource"]
        about, nonce = sealed["associated_data"].encode(), sealed["nonce"].encode()
        paid = json.loads(self.cipher.decrypt(nonce, base64.b64decode(sealed["ciphertext"]), about))
        notice = {"out_trade_no": paid["out_trade_no"], "trade_no": paid["transaction_id"]}
        await self.submit("apply", notice=notice, body=body)
        return Response(b'{"code":"SUCCESS"}', media_type="application/json")


def main() -> int:
    """Serve until told to stop."""
    settings = Settings.from_environment()
    floor = Floor(settings)
    app = Starlette(
        routes=[Route("/livez", livez), Route("/pay/wechat/notify", floor.notify, methods=["POST"])],
    )
    port, patience = settings.port, 60  # a line may be silent for as long as a level lasts
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning", timeout_keep_alive=patience)
    return 0


if __name__ == "__main__":
    sys.exit(main())
