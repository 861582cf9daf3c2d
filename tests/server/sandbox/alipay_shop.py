"""A shop at the sandbox's Alipay that speaks through `python-alipay-sdk`: no code of ours signs or checks here."""

import json
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
from alipay import AliPay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.rsa_keys import rsa_key
from tests.server.sandbox.peer import PATIENCE_SECONDS, plain_client

APP_ID, SELLER = "9021000122600001", "2088102146225135"
ACKNOWLEDGED = (200, b"success")


@cache
def _sdk(app_id, private_key, public_key, gateway):
    """The library proves the primes of the key each time it reads one."""
    sdk = AliPay(
        appid=app_id, app_private_key_string=private_key, alipay_public_key_string=public_key, sign_type="RSA2"
    )
    sdk._gateway = gateway
    return sdk


@dataclass
class AlipayShop:
    """One application of one seller. `sdk` raises when an answer is not signed by the key the sandbox published."""

    sandbox: object
    app_id: str = APP_ID
    seller_id: str = SELLER
    name: str = "晴川点卡专营店"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key("merchant"))
    http: httpx.Client = field(default_factory=plain_client)

    def register(self):
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        facts = {"name": self.name, "seller_id": self.seller_id, "public_key": public.decode()}
        folder = Path(self.sandbox.ready["alipay_merchants"])
        (folder / f"{self.app_id}.json").write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        return self

    @property
    def sdk(self):
        return self.sdk_believing(Path(self.sandbox.ready["alipay_public_key"]))

    def sdk_believing(self, public_key):
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        text = public_key.read_text()
        return _sdk(self.app_id, pem.decode(), text[text.index("-----BEGIN") :], self.sandbox.ready["alipay_gateway"])

    def precreate(self, number, notify_url="http://127.0.0.1:9/nobody", *, amount="128.80", **changes):
        """A code to scan."""
        answer = self.sdk.api_alipay_trade_precreate(
            "星海网游点卡 × 1", number, amount, notify_url=notify_url, **changes
        )
        assert answer["code"] == "10000", answer
        return answer["qr_code"]

    def scan(self, qr_code):
        """What the buyer's phone opens; answers the address of the payment's page."""
        answer = self.http.get(qr_code)
        assert answer.status_code == 302
        return answer.headers["location"]

    def submit(self, page, action="pay", **faults):
        form = {"action": action} | {f"fault_{name}": str(value) for name, value in faults.items()}
        answer = self.http.post(page, data=form)
        assert answer.status_code == 303, answer.text
        return answer

    def paid(self, number, notify_url="http://127.0.0.1:9/nobody", **changes):
        """A trade that was scanned and paid; `changes` are faults, or the amount."""
        amount = changes.pop("amount", "128.80")
        page = self.scan(self.precreate(number, notify_url, amount=amount))
        self.submit(page, **changes)
        return page

    def result_page(self, page, *, until):
        """The page of the outcome, asked for again until it says `until`."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while until not in (text := self.http.get(f"{page}/result").text):
            assert time.monotonic() < give_up_at, f"{until!r} never appeared in {text}"
        return text

    def browse(self, query):
        """Open the gateway as a browser does; answers the response."""
        return self.http.get(f"{self.sandbox.ready['alipay_gateway']}?{query}")

    def is_genuine(self, form, *, sdk=None):
        """Whether the SDK takes a form for Alipay's: every field as it was sent, blank ones too."""
        fields = dict(parse_qsl(form, keep_blank_values=True, strict_parsing=True))
        return (sdk or self.sdk).verify(fields, fields.pop("sign"))


def fields_of(callback):
    return dict(parse_qsl(callback.raw.decode(), keep_blank_values=True, strict_parsing=True))


def query_of(url):
    return parse_qs(urlsplit(url).query, keep_blank_values=True)
