"""Why a channel's record is not used: what is missing, and what would be dangerous. Raised by `setup.py`."""

from __future__ import annotations

from shared.errors import KamengError


class ChannelUnusable(KamengError):
    """A channel's record cannot be used; the shop runs without the channel."""

    code = "channel_unusable"
    status = 500
    zh = "支付渠道“{channel}”的密钥或设置无法使用：{reason}。"
    en = "The keys or settings of payment channel “{channel}” cannot be used: {reason}."


class ChannelIncomplete(ChannelUnusable):
    """Something was not given yet."""

    code = "channel_incomplete"
    zh = "支付渠道“{channel}”还缺少 {missing}。请运行 kameng-server keys add {channel} 补上。"
    en = "Payment channel “{channel}” still lacks {missing}. Give it with `kameng-server keys add {channel}`."


class SandboxKeysWhenLive(ChannelUnusable):
    """Play money in a shop that sells."""

    code = "sandbox_keys_when_live"
    zh = "支付渠道“{channel}”登记的是沙箱密钥，正式环境不使用。请先运行 kameng-server keys drop {channel}。"
    en = (
        "Payment channel “{channel}” has the sandbox's keys, which a live shop does not use. Run `kameng-server keys "
        "drop {channel}` first."
    )


class SandboxNowhere(ChannelUnusable):
    """Keys of the sandbox, and no sandbox to ask: the real hosts know nothing of them."""

    code = "sandbox_nowhere"
    zh = (
        "支付渠道“{channel}”登记的是沙箱密钥，没有设置沙箱地址。"
        "请用 KAMENG_SANDBOX_URL 指向沙箱（见 docs/sandbox.md）。"
    )
    en = (
        "Payment channel “{channel}” has the sandbox's keys, and no sandbox is named. Point KAMENG_SANDBOX_URL to it; "
        "see docs/sandbox.md."
    )


class RealMoneyWhenDemo(ChannelUnusable):
    """Real money in a shop for play."""

    code = "real_money_when_demo"
    zh = "演示模式不收真钱，未启用支付渠道“{channel}”。请设置 KAMENG_MODE=live，或用 KAMENG_SANDBOX_URL 指向沙箱。"
    en = (
        "A demo shop takes no real money: payment channel “{channel}” is off. Set KAMENG_MODE=live, or point "
        "KAMENG_SANDBOX_URL to the sandbox."
    )


class RealKeysWithSandbox(ChannelUnusable):
    """A real merchant's keys in a shop whose channels are the sandbox's: its secrets would be sent there."""

    code = "real_keys_with_sandbox"
    zh = (
        "支付渠道“{channel}”登记的是真实商户，不会交给沙箱。请去掉 KAMENG_SANDBOX_URL，"
        "或先运行 kameng-server keys drop {channel}。"
    )
    en = (
        "Payment channel “{channel}” is a real merchant's and is not shown to the sandbox. Unset KAMENG_SANDBOX_URL, "
        "or run `kameng-server keys drop {channel}` first."
    )


class InsecureChannel(ChannelUnusable):
    """An address over which anybody could answer."""

    code = "insecure_channel"
    zh = "支付渠道“{channel}”的地址 {url} 不是公网 https 地址，正式环境不使用它。"
    en = "The address of payment channel “{channel}”, {url}, is no public https address; a live shop does not use it."
