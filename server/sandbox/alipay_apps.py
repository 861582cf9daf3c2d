"""The applications that are registered at the sandbox's Alipay: `merchants/alipay/<app_id>.json`, one file each.

    {"name": "晴川点卡专营店", "seller_id": "2088102146225135", "public_key": "-----BEGIN PUBLIC KEY-----..."}

`public_key` is the application's, as PEM or as the bare base64 that Alipay's own tool shows. Read by `alipay.py`.
"""

import json
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from server.sandbox.keys import read_public_key

_SELLER = re.compile(r"2088\d{12}", re.ASCII)
_APP_ID = re.compile(r"9021\d{12}", re.ASCII)  # those of Alipay's own sandbox: never one of real money
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class App:
    """An application and the seller it sells for."""

    app_id: str
    seller_id: str
    name: str
    key: rsa.RSAPublicKey


def read_app(app_id: str, content: bytes) -> App | None:
    """Return the application of a file's content; None when it cannot be used."""
    try:
        facts = json.loads(content)
        seller_id, name, public_key = (str(facts.get(field, "")) for field in ("seller_id", "name", "public_key"))
    except (ValueError, AttributeError, RecursionError):
        return None
    if not public_key.startswith("-"):
        public_key = f"-----BEGIN PUBLIC KEY-----\n{public_key}\n-----END PUBLIC KEY-----\n"
    key = read_public_key(public_key.encode())
    if key is None or not _SELLER.fullmatch(seller_id) or not _APP_ID.fullmatch(app_id):
        return None
    return App(app_id, seller_id, name[:_LONGEST_NAME] or app_id, key)
