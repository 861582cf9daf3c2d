"""The shop over HTTP, in this process: the named world, its app, and a person, a buyer or nobody who asks.

`site` is new for each test. Requests go through every layer of the real app; nothing listens on a port. The payment
channel is the real gateway towards a sandbox that does not answer, with a key pair of its own, so that tests can
sign notifications as the sandbox would.
"""

import base64
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from uuid import UUID

import anyio.from_thread
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from server import app
from server.gateways.sandbox import SandboxGateway
from server.identity import actions as identity
from server.identity import queries as people
from server.outbound import Outbound
from server.policy import DeviceCookie
from shared import clock
from shared.contracts.identity import Device
from tests import engines
from tests.rsa_keys import rsa_key
from tests.world import MERCHANT, World, world

ORIGIN = "http://127.0.0.1:8000"
DEAD_SANDBOX = "http://127.0.0.1:9"  # the discard port: nothing answers, so the outcome of a call is unknown


@cache
def _channel_key() -> rsa.RSAPrivateKey:
    """The sandbox's private key, which signs notifications."""
    return rsa_key("channel")


@cache
def _sandbox_gateway() -> SandboxGateway:
    """One for all sites: reading an RSA key takes as long as placing ten orders, and a gateway keeps nothing."""
    public = _channel_key().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = _channel_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SandboxGateway(
        base_url=DEAD_SANDBOX,
        merchant_id=MERCHANT,
        private_key_pem=private,
        channel_public_key_pem=pem,
        outbound=Outbound(total_seconds=1),
    )


@dataclass
class Site:
    """The app of one world, and how to ask it something."""

    world: World
    app: object
    portal: object
    tokens: dict[str, str] = field(default_factory=dict)

    def request(self, method, path, *, by=None, buyer=None, headers=None, **options) -> httpx.Response:
        """Ask as staff (`by`: a login), as a buyer's device (`buyer`: its id), or as nobody."""
        sent = dict(headers or {})
        if by is not None:
            sent["authorization"] = f"Bearer {self.token(by)}"
        if buyer is not None:
            sent["cookie"] = self.cookie(buyer)
        return self.portal.call(self._send, method, path, sent, options)

    def get(self, path, **options) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path, **options) -> httpx.Response:
        return self.request("POST", path, **options)

    async def _send(self, method, path, headers, options) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=options.pop("raising", True))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, trust_env=False) as client:
            return await client.request(method, path, headers=headers, **options)

    def token(self, login: str) -> str:
        """A session of that person, started by the real action (the password is another test's matter)."""
        if login not in self.tokens:
            ctx = self.world.ctx
            with ctx.db.tx() as tx:
                user = people.user_by_login(tx, login)
                device = Device(id=self.device(login), name="test", platform="test")
                self.tokens[login] = identity.start_session(tx, user, device, days=30).token
        return self.tokens[login]

    def device(self, login: str) -> UUID:
        """The machine each person works on."""
        return UUID(int=0xDE0000 + sorted(self.world.users).index(login))

    def cookie(self, buyer: UUID) -> str:
        """The Cookie header of a buyer's device."""
        ctx = self.world.ctx
        name, value = DeviceCookie.name(ctx.settings), DeviceCookie(buyer, clock.now()).sealed(ctx.keys)
        return f"{name}={value}"

    def order(self, buyer, sku, amount_fen, *, quantity=1, key=None, channel="sandbox", **options) -> httpx.Response:
        """Place an order over HTTP."""
        body = {"sku": sku, "quantity": quantity, "amount_fen": amount_fen, "channel": channel}
        headers = {"idempotency-key": key or secrets.token_urlsafe(16)}
        return self.post("/api/orders", buyer=buyer, json=body, headers=headers, **options)

    def notify(self, fact, *, sign=None, **changed) -> httpx.Response:
        """A notification of the sandbox about a fact; `changed` replaces fields of its body before signing."""
        body = {
            "event_id": secrets.token_hex(8),
            "event": "payment.paid",
            "merchant_id": fact.merchant_id,
            "out_trade_no": fact.out_trade_no,
            "trade_no": fact.provider_no,
            "amount_fen": fact.amount_fen,
            "currency": fact.currency,
            "payer": "buyer",
            "paid_at": fact.paid_at.isoformat(),
        } | changed
        raw = json.dumps(body).encode()
        return self.post("/pay/sandbox/notify", content=raw, headers=signed(raw) if sign is None else sign(raw))


def signed(raw: bytes, *, timestamp: int | None = None) -> dict[str, str]:
    """The sandbox's signature headers over these bytes."""
    at, nonce = str(int(time.time()) if timestamp is None else timestamp), secrets.token_hex(16)
    signature = _channel_key().sign(f"{at}\n{nonce}\n".encode() + raw + b"\n", padding.PKCS1v15(), SHA256())
    return {
        "content-type": "application/json",
        "sandbox-timestamp": at,
        "sandbox-nonce": nonce,
        "sandbox-serial": "1",
        "sandbox-signature": base64.b64encode(signature).decode(),
    }


@contextmanager
def opened(folder, kind: engines.Kind = "sqlite", **settings):
    """A site on a new database of an engine; `settings` replaces fields of the world's."""
    with world(kind, folder) as shop, anyio.from_thread.start_blocking_portal() as portal:
        shop.ctx = replace(
            shop.ctx,
            settings=replace(shop.ctx.settings, sandbox_url=DEAD_SANDBOX, **settings),
            gateways={"sandbox": _sandbox_gateway()},
        )
        yield Site(shop, app.build(shop.ctx.settings, ctx=shop.ctx), portal)


@pytest.fixture
def site(tmp_path):
    """The shop over HTTP, new for this test."""
    with opened(tmp_path) as built:
        yield built
