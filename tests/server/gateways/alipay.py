"""Alipay in a few lines of its own: signs and checks with `cryptography` alone, sharing nothing with us."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from server.gateways.alipay import AlipayGateway
from server.gateways.alipay_signing import AlipayAccount
from server.outbound import Outbound
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.listener import Said

NOW = datetime(2026, 11, 22, 16, 30, 5, tzinfo=UTC)  # half past midnight of the 23rd in Beijing
APP_ID = "2021000122600000"
SELLER = "2088102146225135"
OUTBOUND = Outbound()


class Alipay:
    """The other side: its key for the application, the key before it, and the application's key."""

    def __init__(self):
        self.key, self.old_key = rsa_key("channel"), rsa_key("old channel")
        # Shorter than a real one: each gateway of a test proves its primes anew.
        self.app_key = rsa_key("merchant", 1024)

    def account(self, **changes):
        return AlipayAccount(
            **{
                "app_id": APP_ID,
                "seller_id": SELLER,
                "private_key_pem": pem_of(self.app_key),
                "public_keys_pem": (public_pem_of(self.key),),
            }
            | changes
        )

    def gateway(self, address="http://127.0.0.1:9", *, account=None, **changes):
        return AlipayGateway(
            account or self.account(),
            **{"outbound": OUTBOUND, "base_url": f"{address}/gateway.do", "now": lambda: NOW} | changes,
        )

    def sign(self, message, *, key=None):
        return base64.b64encode((key or self.key).sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()

    def says(self, content, *, sign=True, key=None, node=None, status=200):
        """A signed answer: the node's text is signed as it is written, with a slash escaped as Alipay escapes it."""

        def answer(asked):
            name = node or self.parameters(asked)["method"].replace(".", "_") + "_response"
            raw = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False).replace("/", "\\/")
            signature = f',"sign":"{self.sign(raw.encode(), key=key)}"' if sign else ""
            return Said(status, {}, f'{{"{name}":{raw}{signature}}}'.encode())

        return answer

    def no(self, sub_code, *, code="40004", **signing):
        return self.says({"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "…"}, **signing)

    def parameters(self, asked):
        """All parameters of a request, from its address and its form."""
        parts = urlsplit(asked.target)
        pairs = parse_qs(parts.query, strict_parsing=True) | parse_qs(
            asked.body.decode() or "", strict_parsing=bool(asked.body)
        )
        assert all(len(values) == 1 for values in pairs.values())
        return {name: values[0] for name, values in pairs.items()}

    def check(self, parameters):
        """Fail unless the application signed exactly these parameters; answers what it asks for."""
        given = dict(parameters)
        signature = base64.b64decode(given.pop("sign"))
        message = "&".join(f"{name}={given[name]}" for name in sorted(given)).encode()
        self.app_key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        common = {"app_id": APP_ID, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0"}
        assert {name: given[name] for name in common} == common
        assert given["timestamp"] == "2026-11-23 00:30:05"
        return json.loads(given["biz_content"])

    def notice(self, *, charset="utf-8", key=None, sign_type="RSA2", drop=(), **changes):
        """The body of a notification: everything but `sign` and `sign_type` takes part, blank fields too."""
        fields = {name: value for name, value in (PAID | {"charset": charset} | changes).items() if name not in drop}
        message = "&".join(f"{name}={value}" for name, value in sorted(fields.items())).encode(charset)
        fields |= {"sign": self.sign(message, key=key), "sign_type": sign_type}
        return "&".join(f"{name}={quote_plus(value, encoding=charset)}" for name, value in fields.items()).encode()


PAID = {
    "gmt_create": "2026-11-23 00:29:40",
    "charset": "utf-8",
    "gmt_payment": "2026-11-23 00:29:58",
    "notify_time": "2026-11-23 00:30:00",
    "subject": "Steam 充值卡 100% + 50 元",
    "buyer_id": "2088102116773037",
    "passback_params": "",
    "invoice_amount": "99.00",
    "version": "1.0",
    "notify_id": "2026112300222002958077030582394850",
    "fund_bill_list": '[{"amount":"99.00","fundChannel":"ALIPAYACCOUNT"}]',
    "notify_type": "trade_status_sync",
    "out_trade_no": "KM-00000001",
    "total_amount": "99.00",
    "trade_status": "TRADE_SUCCESS",
    "trade_no": "2026112322001477030500000001",
    "auth_app_id": APP_ID,
    "receipt_amount": "99.00",
    "point_amount": "0.00",
    "app_id": APP_ID,
    "buyer_pay_amount": "94.00",
    "seller_id": SELLER,
}
TRADE = {
    "code": "10000",
    "msg": "Success",
    "buyer_logon_id": "159****5620",
    "buyer_pay_amount": "94.00",
    "out_trade_no": "KM-00000001",
    "send_pay_date": "2026-11-23 00:29:58",
    "total_amount": "99.00",
    "trade_no": "2026112322001477030500000001",
    "trade_status": "TRADE_SUCCESS",
}
