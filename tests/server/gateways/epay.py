"""An Epay site of its own, both versions: signs with `hashlib` and `cryptography` alone, and shares nothing with us."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from server.gateways.epay import EpayGateway
from server.gateways.epay_signing import EpayAccount
from server.outbound import Outbound
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.listener import Said

NOW = datetime(2026, 11, 22, 9, 14, 3, tzinfo=UTC)
SECRET = "7ebb6a3c1f0d4e2b9a8c5d6e7f801234"
PID = "1001"
OUTBOUND = Outbound()


class Epay:
    """The other side; `version` is 1 or 2."""

    def __init__(self, version):
        self.version = version
        self.key = rsa_key("channel")
        # Shorter than a real one: each gateway of a test proves its primes anew.
        self.merchant_key = rsa_key("merchant", 1024)

    def gateway(self, address="http://127.0.0.1:9", *, outbound=OUTBOUND, **changes):
        if self.version == 1:
            keys = {"key": SECRET}
        else:
            keys = {"private_key_pem": pem_of(self.merchant_key), "public_key_pem": public_pem_of(self.key)}
        account = EpayAccount(**{"merchant_id": PID, "url": f"{address}/", **keys} | changes)
        return EpayGateway(account, outbound=outbound, now=lambda: NOW)

    def text(self, fields):
        kept = {name: str(value) for name, value in fields.items() if name not in {"sign", "sign_type"}}
        return "&".join(f"{name}={kept[name]}" for name in sorted(kept) if kept[name].strip())

    def signed(self, fields, *, at=NOW, key=None, joint=""):
        """The fields with the site's signature over them; version 2 stamps them."""
        if self.version == 1:
            return fields | {
                "sign": hashlib.md5((self.text(fields) + joint + (key or SECRET)).encode()).hexdigest(),
                "sign_type": "MD5",
            }
        stamped = {"timestamp": str(int(at.timestamp()))} | fields
        signature = (key or self.key).sign(self.text(stamped).encode(), padding.PKCS1v15(), hashes.SHA256())
        return stamped | {"sign": base64.b64encode(signature).decode(), "sign_type": "RSA"}

    def notice(self, fields, **signing):
        """The raw query string of a notification."""
        given = self.signed(fields, **signing)
        return "&".join(f"{name}={quote_plus(str(value))}" for name, value in given.items()).encode()

    def says(self, content, *, sign=True, status=200, **signing):
        """Version 2 signs what it answers well; version 1 signs nothing."""
        given = self.signed(content, **signing) if sign and self.version == 2 else content
        return lambda _asked: Said(status, {}, json.dumps(given, ensure_ascii=False).encode())

    def check(self, query):
        """The fields of a form that the merchant signed. Fails for another's."""
        pairs = parse_qs(query, strict_parsing=True, keep_blank_values=True)
        fields = {name: one for name, [one] in pairs.items()}
        if self.version == 1:
            assert fields["sign"] == hashlib.md5((self.text(fields) + SECRET).encode()).hexdigest()
        else:
            signature = base64.b64decode(fields["sign"])
            text = self.text(fields).encode()
            self.merchant_key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
            assert fields["timestamp"] == str(int(NOW.timestamp()))
        assert fields["sign_type"] == {1: "MD5", 2: "RSA"}[self.version]
        return {name: one for name, one in fields.items() if name not in {"sign", "sign_type", "timestamp"}}


ORDER = {
    "trade_no": "2026112217140312345",
    "out_trade_no": "KM-00000001",
    "type": "alipay",
    "pid": PID,
    "addtime": "2026-11-22 17:13:50",
    "endtime": "2026-11-22 17:14:01",
    "name": "Steam 充值卡",
    "money": "99.00",
    "param": None,
    "buyer": "",
    "status": 1,
}
NOTICE = {
    "pid": PID,
    "trade_no": "2026112217140312345",
    "out_trade_no": "KM-00000001",
    "type": "alipay",
    "name": "Steam 充值卡 50%+",
    "money": "99",
    "trade_status": "TRADE_SUCCESS",
}
REFUND = {
    "code": 0,
    "refund_no": "2026112217200054321",
    "out_refund_no": "R-00000001",
    "trade_no": "2026112217140312345",
    "money": "40.00",
    "reducemoney": "40.00",
    "msg": "退款成功！退款金额¥40.00",
}
