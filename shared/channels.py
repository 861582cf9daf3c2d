"""What payment channels are called."""

from __future__ import annotations

from shared.sentence import Sentence

NAMES: dict[str, Sentence] = {
    "wechat": Sentence("微信支付", "WeChat Pay"),
    "alipay": Sentence("支付宝", "Alipay"),
    "epay": Sentence("易支付", "Epay"),
    "sandbox": Sentence("沙箱", "Sandbox"),
}


def name(code: str) -> Sentence:
    """The name of a channel; one that is not here shows its code."""
    return NAMES.get(code, Sentence(code, code))
