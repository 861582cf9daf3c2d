"""What can go wrong on request: one row a fault, and what its value may be. The only list of them.

Read by `faults.py` (which of them hold), `panel.py` (its page and its API) and `pages.py` (the few of a payment page).
A fault is asked for by its name where it takes effect; nothing else knows that it exists.
"""

import re
from dataclasses import dataclass
from typing import Literal

Group = Literal["callback", "claims", "keys", "answers", "money", "bills"]
Kind = Literal["flag", "whole", "seconds", "choice", "text"]

LARGEST_AMOUNT_FEN = 1_000_000_000  # ten million yuan: a typing slip in a test should be refused, not paid
LONGEST_DELAY_SECONDS = 86_400
MOST_COPIES = 20
_SECONDS = re.compile(r"(-?)(\d{1,6})(?:\.(\d{1,3}))?")
_WHOLE = re.compile(r"-?\d{1,12}", re.ASCII)


class BadValue(Exception):
    """A fault's value is out of range, or there is no such fault; `name` says which."""

    def __init__(self, name: str) -> None:
        """Keep the fault's name."""
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong. `lowest` and `highest` bound `whole` and `seconds`; `choices` are all of `choice`.

    `quick` ones stand on the payment page itself. `of_calls`: it takes effect in a call of the merchant's, and may be
    limited to one; all else happens to a payment, a refund or a notification, whoever calls.
    """

    name: str
    group: Group
    kind: Kind
    zh: str
    en: str
    lowest: int = 0
    highest: int = 0
    choices: tuple[str, ...] = ()
    quick: bool = False
    of_calls: bool = False

    def normal(self, text: str) -> str:
        """Return the value as it is kept. Raises BadValue."""
        text = text.strip()
        allowed = {
            "flag": lambda: text == "1",
            "whole": lambda: bool(_WHOLE.fullmatch(text)) and self.lowest <= int(text) <= self.highest,
            "seconds": lambda: self._is_seconds(text),
            "choice": lambda: text in self.choices,
            "text": lambda: 0 < len(text) <= self.highest and text.isprintable(),
        }
        if not allowed[self.kind]():
            raise BadValue(self.name)
        return text

    def _is_seconds(self, text: str) -> bool:
        if not _SECONDS.fullmatch(text):
            return False
        return self.lowest * 1000 <= milliseconds(text) <= self.highest * 1000


def milliseconds(text: str) -> int:
    """Return `1.5` as 1500; `text` is a normal value of kind `seconds`."""
    matched = _SECONDS.fullmatch(text)
    assert matched is not None
    size = int(matched.group(2)) * 1000 + int((matched.group(3) or "").ljust(3, "0"))
    return -size if matched.group(1) else size


_DELAY = LONGEST_DELAY_SECONDS
_AMOUNT = LARGEST_AMOUNT_FEN

FAULTS: tuple[Fault, ...] = (
    # How notifications travel
    Fault("drop", "callback", "flag", "丢弃通知", "Drop the callback", quick=True),
    Fault("delay_seconds", "callback", "seconds", "通知延迟（秒）", "Delayed by (s)", 0, _DELAY, quick=True),
    Fault("copies", "callback", "whole", "重复发送份数", "Copies, sent at once", 1, MOST_COPIES, quick=True),
    Fault("reorder", "callback", "whole", "攒够几份后倒序发送", "Hold so many, send the newest first", 2, MOST_COPIES),
    # What notifications claim, signed rightly
    Fault("amount_fen", "claims", "whole", "通知中的金额（分）", "Claimed amount (fen)", 0, _AMOUNT, quick=True),
    Fault("currency", "claims", "text", "通知中的币种", "Claimed currency", highest=3),
    Fault("merchant_id", "claims", "text", "通知中的商户号", "Claimed merchant number", highest=64),
    Fault("app_id", "claims", "text", "通知中的应用号", "Claimed app id", highest=64),
    Fault("out_trade_no", "claims", "text", "通知中的商户订单号", "Claimed order number", highest=64),
    Fault("trade_no", "claims", "text", "通知中的渠道流水号", "Claimed number of the channel", highest=64),
    # Keys and clocks
    Fault("signature", "keys", "flag", "通知签名错误", "Callback wrongly signed", quick=True),
    Fault("probe", "keys", "flag", "通知带签名探测流量", "Callback is a signature probe"),
    Fault(
        "clock_seconds",
        "keys",
        "seconds",
        "沙箱时钟偏差（秒）",
        "Sandbox's clock is off by (s)",
        -_DELAY,
        _DELAY,
        of_calls=True,
    ),
    Fault(
        "sign_with",
        "keys",
        "choice",
        "换用的密钥",
        "Sign with another key",
        choices=("public_key", "public_key_2", "certificate", "certificate_2"),
        of_calls=True,
    ),
    Fault(
        "mixed_percent", "keys", "whole", "用另一种密钥签的通知（%）", "Callbacks by the other kind of key (%)", 0, 100
    ),
    Fault("api_key", "keys", "text", "加密通知用的密钥（32 字节）", "Key that seals callbacks (32 bytes)", highest=32),
    # How calls are answered
    Fault(
        "answer_seconds",
        "answers",
        "seconds",
        "接口应答延迟（秒）",
        "API answers late (s)",
        0,
        120,
        quick=True,
        of_calls=True,
    ),
    Fault("hang", "answers", "flag", "办完却不应答", "Does the work, never answers", of_calls=True),
    Fault(
        "fail",
        "answers",
        "whole",
        "什么也不办，只答此状态码",
        "Does nothing, answers this status",
        400,
        599,
        of_calls=True,
    ),
    Fault("away", "answers", "flag", "断开连接", "Breaks the connection", of_calls=True),
    Fault("answer_unsigned", "answers", "flag", "应答不签名", "Answers unsigned", of_calls=True),
    Fault("answer_signature", "answers", "flag", "应答签名错误", "Answers wrongly signed", of_calls=True),
    Fault(
        "oauth",
        "answers",
        "choice",
        "微信网页授权",
        "WeChat's web authorisation",
        choices=("deny", "bad_code", "snapshot", "busy"),
        of_calls=True,
    ),
    # What happens to the money
    Fault("payer", "money", "text", "付款人（名字）", "Who pays (a name)", highest=32, quick=True),
    Fault("settle_seconds", "money", "seconds", "稍后才到账（秒）", "Settles later (s)", 0, _DELAY, quick=True),
    Fault("charged_fen", "money", "whole", "实际扣款（分）", "Really charged (fen)", 1, _AMOUNT),
    Fault("coupon_fen", "money", "whole", "其中优惠券（分）", "Paid by a coupon of the channel (fen)", 1, _AMOUNT),
    Fault("paid_in_close", "money", "flag", "关单时恰好付款", "Money comes while it is closed"),
    Fault("refund_seconds", "money", "seconds", "退款处理时长（秒）", "Refunds take (s)", 0, _DELAY, quick=True),
    Fault("refund_outcome", "money", "choice", "退款结果", "Refunds end", choices=("abnormal", "closed")),
    Fault("balance_low", "money", "flag", "商户余额不足", "Merchant's balance too low"),
    # Bills
    Fault("bill_at_once", "bills", "flag", "账单立即可取", "Bills of any day at once", of_calls=True),
    Fault("bill_damaged", "bills", "flag", "账单文件不完整", "Bills that are cut off", of_calls=True),
)

BY_NAME = {fault.name: fault for fault in FAULTS}


def fault_named(name: str) -> Fault:
    """Return the fault of a name. Raises BadValue."""
    try:
        return BY_NAME[name]
    except KeyError:
        raise BadValue(name) from None
