"""WeChat Pay in a few lines of its own: signs, seals and checks with `cryptography` alone, sharing nothing with us."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.gateways.wechat import WechatGateway
from server.gateways.wechat_keys import WechatAccount
from server.gateways.wechat_payer import PayerDesk
from server.outbound import Outbound
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.listener import Said

NOW = datetime(2026, 11, 22, 9, 14, 3, tzinfo=UTC)
API_V3_KEY = b"0123456789abcdefghijklmnopqrstuv"
NEXT_API_V3_KEY = b"vutsrqponmlkjihgfedcba9876543210"
PUBLIC_KEY_ID = "PUB_KEY_ID_0116546128782024112200292200003389"
MERCHANT_SERIAL = "3775B6A45ACD588826D15E583A95F5DD06AAAAAA"
NONCE = "c5ac7061fccab6bf3e254dcf98995b8c"
AUTHORIZATION = re.compile(
    r'WECHATPAY2-SHA256-RSA2048 mchid="(?P<mchid>\d+)",nonce_str="(?P<nonce>\w+)",timestamp="(?P<timestamp>\d+)",'
    r'serial_no="(?P<serial>\w+)",signature="(?P<signature>[A-Za-z0-9+/=]+)"'
)
OUTBOUND = Outbound()


def new_certificate(key, *, serial, days=(-1, 1825)):
    """A platform certificate as WeChat Pay makes them, signed by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sign test")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


class WechatPay:
    """The other side: its public key, a platform certificate, and the merchant it knows."""

    def __init__(self):
        self.key, self.certificate_key = rsa_key("channel"), rsa_key("certificate")
        # Shorter than a real one: each gateway of a test proves its primes anew.
        self.merchant_key = rsa_key("merchant", 1024)
        self.serial = 0x05ACD588826D15E583A95F5DD06AAAAAABBBBBBB  # a serial may begin with a zero
        self.certificate = new_certificate(self.certificate_key, serial=self.serial)

    @property
    def certificate_serial(self):
        return f"{self.serial:040X}"

    def account(self, **changes):
        return WechatAccount(
            **{
                "merchant_id": "1900000109",
                "app_id": "wxd678efh567hg6787",
                "mini_app_id": "wxmini67hg6787efh5",
                "merchant_serial": MERCHANT_SERIAL,
                "private_key_pem": pem_of(self.merchant_key),
                "api_v3_key": API_V3_KEY,
                "public_key_id": PUBLIC_KEY_ID,
                "public_key_pem": public_pem_of(self.key),
                "certificates_pem": (self.certificate,),
            }
            | changes
        )

    def gateway(self, address="http://127.0.0.1:9", *, account=None, **changes):
        return WechatGateway(
            account or self.account(),
            **{
                "outbound": OUTBOUND,
                "base_url": address,
                "spare_url": None,
                "now": lambda: NOW,
                "nonce": lambda: NONCE,
                "payers": PayerDesk(app_id="wxd678efh567hg6787", app_secret="5e" * 16, outbound=OUTBOUND),
            }
            | changes,
        )

    def signed(self, body, *, at=NOW, key=None, serial=PUBLIC_KEY_ID):
        """Headers over a body; with the certificate's key when its serial is named."""
        timestamp, nonce = str(int(at.timestamp())), "lPt6yPNWkGY7hWNzZ8Zq3vN1qYbXkPJm"
        by = key or (self.key if serial == PUBLIC_KEY_ID else self.certificate_key)
        signature = by.sign(f"{timestamp}\n{nonce}\n".encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def says(self, content, status=200, **signing):
        """A signed answer to whatever is asked."""
        body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        return lambda _asked: Said(status, self.signed(body, **signing), body)

    def sealed(self, content, *, key=API_V3_KEY, about="transaction"):
        clear = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        nonce = "fdasfjihihih"
        return {
            "original_type": about,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(AESGCM(key).encrypt(nonce.encode(), clear, about.encode())).decode(),
            "associated_data": about,
            "nonce": nonce,
        }

    def notice(self, content, *, event="TRANSACTION.SUCCESS", key=API_V3_KEY, about="transaction", **resource):
        """The body of a notification."""
        envelope = {
            "id": "EV-2018022511223320873",
            "create_time": "2026-11-22T17:14:03+08:00",
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功",
            "resource": self.sealed(content, key=key, about=about) | resource,
        }
        return json.dumps(envelope, ensure_ascii=False).encode()

    def check(self, asked):
        """Fail unless the merchant signed exactly this request now."""
        given = AUTHORIZATION.fullmatch(asked.headers["authorization"])
        assert (given["mchid"], given["serial"], given["nonce"]) == ("1900000109", MERCHANT_SERIAL, NONCE)
        assert given["timestamp"] == str(int(NOW.timestamp()))
        message = (
            f"{asked.method}\n{asked.target}\n{given['timestamp']}\n{given['nonce']}\n".encode() + asked.body + b"\n"
        )
        signature = base64.b64decode(given["signature"])
        self.merchant_key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        assert asked.headers["accept"] == "application/json"
        assert asked.headers["user-agent"]
        assert asked.headers["wechatpay-serial"] == PUBLIC_KEY_ID
        assert asked.headers.get("content-type") == ("application/json" if asked.body else None)


PAID = {
    "appid": "wxd678efh567hg6787",
    "mchid": "1900000109",
    "out_trade_no": "KM-00000001",
    "transaction_id": "4200001101202611220000000001",
    "trade_type": "NATIVE",
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "bank_type": "OTHERS",
    "attach": "",
    "success_time": "2026-11-22T17:14:01+08:00",
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    "amount": {"total": 9_900, "payer_total": 9_400, "currency": "CNY", "payer_currency": "CNY"},
    "promotion_detail": [],
}
REFUNDED = {
    "mchid": "1900000109",
    "transaction_id": "4200001101202611220000000001",
    "out_trade_no": "KM-00000001",
    "refund_id": "50300907072026112200000000001",
    "out_refund_no": "R-00000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-22T17:20:00+08:00",
    "user_received_account": "支付用户零钱",
    "amount": {"total": 9_900, "refund": 4_000, "payer_total": 9_400, "payer_refund": 3_798},
}
