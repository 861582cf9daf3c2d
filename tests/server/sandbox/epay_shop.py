"""A shop at the sandbox's Epay site: signs and checks with the standard library and `cryptography` alone."""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.rsa_keys import rsa_key
from tests.server.sandbox.peer import plain_client


@dataclass
class EpayShop:
    """One merchant of the site, which speaks both versions."""

    sandbox: object
    pid: str = "1001"
    key: str = "WFhkN7xRd9Zf0WoAVJ2D1zkkm5pJ5FXq"
    name: str = "晴川点卡专营店"
    style: dict = field(default_factory=dict)
    rsa_key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key("merchant"))
    http: httpx.Client = field(default_factory=plain_client)

    def register(self):
        public = self.rsa_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        facts = {"name": self.name, "key": self.key, "public_key": public.decode()} | self.style
        folder = Path(self.sandbox.ready["epay_merchants"])
        (folder / f"{self.pid}.json").write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        return self

    # Signatures

    @staticmethod
    def text(fields):
        names = sorted(name for name, value in fields.items() if name not in ("sign", "sign_type") and value.strip())
        return "&".join(f"{name}={fields[name]}" for name in names)

    def md5(self, fields):
        digest = hashlib.md5((self.text(fields) + self.style.get("key_joint", "") + self.key).encode()).hexdigest()
        return digest.upper() if self.style.get("upper") else digest

    def first(self, fields):
        """Signed as the first version wants it."""
        fields = {"pid": self.pid, **fields}
        return fields | {"sign": self.md5(fields), "sign_type": "MD5"}

    def second(self, fields, *, timestamp=None):
        """Signed as the second version wants it."""
        fields = {"pid": self.pid, **fields, "timestamp": str(timestamp or int(time.time()))}
        signature = self.rsa_key.sign(self.text(fields).encode(), padding.PKCS1v15(), hashes.SHA256())
        return fields | {"sign": base64.b64encode(signature).decode(), "sign_type": "RSA"}

    def is_from_site(self, fields):
        """Whether the site's published key signed these fields."""
        key = serialization.load_pem_public_key(Path(self.sandbox.ready["epay_public_key"]).read_bytes())
        try:
            signature = base64.b64decode(fields["sign"], validate=True)
            key.verify(signature, self.text(fields).encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    # Calls

    def order(self, number, **changes):
        return {
            "type": "wxpay",
            "out_trade_no": number,
            "notify_url": "http://127.0.0.1:9/nobody",
            "return_url": "https://shop.test/o/A",
            "name": "月卡 & 年卡",
            "money": "12.50",
        } | changes

    def open_page(self, address, fields):
        """What the buyer's browser opens; answers the response."""
        return self.http.get(f"{self.sandbox.ready['epay_url']}/{address}?{urlencode(fields)}")

    def page(self, number, *, version=1, **changes):
        """An order that a browser opened; answers the address of its payment page."""
        fields = self.order(number, **changes)
        if version == 1:
            opened = self.open_page("submit.php", self.first(fields))
        else:
            opened = self.open_page("api/pay/submit", self.second(fields))
        assert opened.status_code == 302, opened.text
        return opened.headers["location"]

    def post(self, address, fields):
        answer = self.http.post(f"{self.sandbox.ready['epay_url']}/{address}", data=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def query(self, number, **changes):
        """The first version's query, with the secret in the address."""
        question = {"act": "order", "pid": self.pid, "key": self.key, "out_trade_no": number} | changes
        return self.open_page("api.php", question).json()

    def ask(self, call, **fields):
        """A call of the second version; a yes must be signed by the site."""
        answer = self.post(f"api/pay/{call}", self.second(fields))
        texts = {name: str(value) for name, value in answer.items() if value is not None}
        if answer["code"] == 0:
            assert self.is_from_site(texts), answer
            assert abs(int(texts["timestamp"]) - time.time()) < 60
        return answer

    def submit(self, page, action="pay", **faults):
        form = {"action": action} | {f"fault_{name}": str(value) for name, value in faults.items()}
        answer = self.http.post(page, data=form)
        assert answer.status_code == 303, answer.text


def fields_of(callback):
    return dict(parse_qsl(callback.raw.decode(), keep_blank_values=True, strict_parsing=True))
