"""A shop at the sandbox's WeChat Pay that speaks through `wechatpayv3`: no code of ours signs, checks or opens here.

What the SDK has no words for (a header left out, a byte changed) is asked for with `call`, which signs by itself.
"""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.rsa_keys import rsa_key
from tests.server.sandbox.peer import PATIENCE_SECONDS, plain_client

MCHID, APP_ID, SERIAL = "9012345678", "wxsandbox12345678", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
API_V3_KEY = "0123456789abcdefghijklmnopqrstuv"
NOBODY = "http://127.0.0.1:9/nobody"
BEIJING = timezone(timedelta(hours=8))


@dataclass
class WechatShop:
    """One merchant. `sdk` believes the public key, `sdk_of_old` the platform certificates it fetches itself."""

    sandbox: object
    mchid: str = MCHID
    name: str = "晴川点卡专营店"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key("merchant"))
    http: httpx.Client = field(default_factory=plain_client)

    def register(self, **changes):
        """Hand our side to the sandbox, as `merchants/wechat/<mchid>.json`."""
        facts = {
            "mchid": self.mchid,
            "name": self.name,
            "app_ids": [APP_ID],
            "serial_no": SERIAL,
            "public_key": self.public_pem,
            "api_v3_key": API_V3_KEY,
        } | changes
        path = Path(self.sandbox.ready["wechat_merchants"]) / f"{self.mchid}.json"
        path.write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        return self

    @property
    def private_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def public_pem(self):
        return (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @cached_property
    def sdk(self):
        text = Path(self.sandbox.ready["wechat_public_key"]).read_text()
        pem = text[text.index("-----BEGIN") :]
        return self._sdk(public_key=pem, public_key_id=self.sandbox.ready["wechat_public_key_id"])

    def sdk_of_old(self, folder):
        """It starts with the certificate that was handed over, in a folder of its own, and fetches the others."""
        text = Path(self.sandbox.ready["wechat_certificate"]).read_text()
        folder.mkdir(exist_ok=True)
        (folder / "handed.pem").write_text(text[text.index("-----BEGIN") :])
        return self._sdk(cert_dir=str(folder))

    def _sdk(self, **keys):
        sdk = WeChatPay(
            WeChatPayType.NATIVE,
            self.mchid,
            self.private_pem,
            SERIAL,
            APP_ID,
            API_V3_KEY,
            notify_url=NOBODY,
            timeout=PATIENCE_SECONDS,
            **keys,
        )
        # The SDK knows one host and paths that begin with /v3; the sandbox serves those beside its own.
        sdk._core._gate_way = self.sandbox.url
        return sdk

    # Requests of our own making

    def authorization(self, method, target, body=b"", *, timestamp=0, nonce="", key=None, serial=SERIAL, mchid=""):
        timestamp, nonce = timestamp or int(time.time()), nonce or secrets.token_hex(16)
        message = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode((key or self.key).sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        return (
            f'WECHATPAY2-SHA256-RSA2048 mchid="{mchid or self.mchid}",nonce_str="{nonce}",signature="{signature}",'
            f'timestamp="{timestamp}",serial_no="{serial}"'
        )

    def call(self, method, target, content=None, **headers):
        body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        given = {"Authorization": self.authorization(method, target, body), "Accept": "application/json"}
        return self.http.request(method, self.sandbox.url + target, content=body, headers=given | headers)

    def order(self, number, **changes):
        """The content of an order."""
        return {
            "appid": APP_ID,
            "mchid": self.mchid,
            "description": "星海网游点卡 100 元面值 × 1",
            "out_trade_no": number,
            "notify_url": NOBODY,
            "amount": {"total": 12880, "currency": "CNY"},
        } | changes

    # Through the SDK

    def native(self, number, notify_url=NOBODY, *, total=12880, **changes):
        """A code to scan."""
        status, answer = self.sdk.pay("星海网游点卡 × 1", number, {"total": total}, notify_url=notify_url, **changes)
        assert status == 200, answer
        return json.loads(answer)["code_url"]

    def query(self, number):
        status, answer = self.sdk.query(out_trade_no=number)
        assert status == 200, answer
        return json.loads(answer)

    # The buyer and the tester

    def page_of(self, code_url):
        """The page that scanning a code leads to."""
        answer = self.http.get(self.sandbox.url + "/scan", params={"code": code_url})
        assert answer.status_code == 303, answer.text
        return self.sandbox.url + answer.headers["location"]

    def submit(self, page, action="pay", **faults):
        form = {"action": action} | {f"fault_{name}": str(value) for name, value in faults.items()}
        answer = self.http.post(page, data=form)
        assert answer.status_code == 303, answer.text
        return answer

    def paid(self, number, notify_url=NOBODY, *, total=12880, **faults):
        """A payment that was ordered, scanned and paid; answers its page."""
        page = self.page_of(self.native(number, notify_url, total=total))
        self.submit(page, **faults)
        return page

    def fault(self, name, value="1", **scope):
        """Order a fault for this merchant; answers its id."""
        wanted = {"name": name, "value": value, "channel": "wechat", "merchant_id": self.mchid} | scope
        answer = self.http.post(self.sandbox.url + "/api/faults", json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def end_faults(self):
        assert self.http.delete(self.sandbox.url + "/api/faults").status_code == 204

    def opened(self, callback, *, sdk=None):
        """A notification as the SDK reads it, or None when its signature does not hold."""
        return (sdk or self.sdk).callback(callback.headers, callback.raw)


def in_beijing(moment):
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def in_a_quarter():
    return in_beijing(datetime.now(BEIJING) + timedelta(minutes=15))


def said(answer):
    """Status and content of an answer of the SDK."""
    status, text = answer
    return status, json.loads(text) if text else None


def refusal(answer):
    """Status and code of a refusal."""
    status, content = said(answer)
    return status, content["code"]
