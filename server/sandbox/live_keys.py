"""What must never lie in a sandbox: keys of real money. Looked for in merchants' files before the sandbox starts.

The sandbox needs nothing secret but what it shares with a merchant of its own: public keys, and the APIv3 key of a
merchant number that WeChat Pay never gives out (`90` and eight digits; real ones begin with 1). So a private key, a
certificate of Tenpay's or a real number is a mistake that somebody should hear of at once.
"""

import json
import re
from pathlib import Path

from cryptography import x509

_LARGEST_FILE_BYTES = 65_536
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_REAL_NUMBERS = {
    "wechat": re.compile(r"1[0-9]{7,9}"),
    "alipay": re.compile(r"20[0-9]{14}"),  # applications; those of Alipay's own sandbox begin with 9021
}


def live_key_in(folder: Path) -> Path | None:
    """Return the first file below `folder` that has to do with real money, or None."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size <= _LARGEST_FILE_BYTES and _is_live(path):
            return path
    return None


def _is_live(path: Path) -> bool:
    content = path.read_bytes()
    # In JSON a line break is two characters.
    unescaped = content.replace(b"\\n", b"\n")
    if b"PRIVATE KEY-----" in content or any(_is_tenpays(pem) for pem in _CERTIFICATE.findall(unescaped)):
        return True
    real = _REAL_NUMBERS.get(path.parent.name)
    return real is not None and real.fullmatch(_number(path, content)) is not None


def _is_tenpays(pem: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    names = (certificate.issuer.rfc4514_string(), certificate.subject.rfc4514_string())
    return any("tenpay" in name.lower() for name in names)


def _number(path: Path, content: bytes) -> str:
    try:
        read = json.loads(content)
    except ValueError:
        return path.stem
    named = read.get("mchid") if isinstance(read, dict) else None
    return named if isinstance(named, str) else path.stem
