"""The Channels screen: which channels take new payments, what is wrong with one, and switching it."""

from __future__ import annotations

from collections.abc import Mapping

from desktop.operations import channels
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from desktop.presenters.words import CHANNELS, channel_word, in_words, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.payments import Channel
from shared.permissions import Permission
from shared.states import BillTrouble, FoundBy

CLOCK_LIMIT_SECONDS = 60
"""A clock that is further off makes channels refuse us: WeChat Pay and Alipay allow five minutes, and it gets worse."""

_REASONS_OFF: tuple[Pair, ...] = (
    ("渠道故障，暂停收款", "The channel has trouble"),
    ("渠道通知维护", "Maintenance, announced by the channel"),
    ("商户账户需要处理", "The merchant account needs attention"),
)
_REASONS_ON: tuple[Pair, ...] = (("已恢复", "It works again"),)


def state_of(channel: Channel) -> tuple[str, str]:
    """The word and the tone of how a channel is."""
    if not channel.enabled:
        return in_words(("已停用", "Off")), "neutral"
    if channel.away_since is not None:
        return in_words(("没有回应", "No answer")), "danger"
    if clock_is_off(channel):
        return in_words(("时钟不准", "Clock is off")), "warning"
    if channel.bills is not None and channel.bills.missing:
        return in_words(("账单未读到", "Bill missing")), "warning"
    return in_words(("正常", "Works")), "success"


def clock_is_off(channel: Channel) -> bool:
    """Whether the server's clock and the channel's differ by too much."""
    return abs(channel.clock_off_seconds or 0) > CLOCK_LIMIT_SECONDS


def trouble(channel: Channel) -> str:
    """What everybody at the window should know of it, in one sentence; empty when all is well."""
    name = channel_word(channel.code)
    parts: list[str] = []
    if channel.away_since is not None:
        since = formats.short_moment(channel.away_since, today=shop_day(now()))
        parts.append(
            in_words(("{name}查询异常（{since} 起）", "{name} does not answer since {since}")).format(
                name=name, since=since
            )
        )
    if channel.unknown:
        words = in_words(("{n} 单待确认", "unknown payments: {n}"))
        parts.append(words.format(n=formats.count(channel.unknown)))
        if channel.away_since is None:
            parts[-1] = in_words(("{name}有 {it}", "{name}, {it}")).format(name=name, it=parts[-1])
    told = in_words(("，", ", ")).join(parts)
    if clock_is_off(channel):
        words = in_words(
            (
                "服务器时钟与{name}相差 {n} 秒，请校准，否则渠道会拒绝请求",
                "The server's clock is {n} seconds off {name}'s: set it, or the channel will refuse us",
            )
        ).format(name=name, n=formats.count(abs(channel.clock_off_seconds or 0)))
        told = in_words(("；", "; ")).join(part for part in (told, words) if part)
    return in_words(("；", "; ")).join(part for part in (told, missing_bills(channel)) if part)


def missing_bills(channel: Channel) -> str:
    """Which of its bills are not read, and why, in one sentence; empty when none is missing."""
    bills = channel.bills
    if bills is None or bills.trouble is None or bills.since is None:
        return ""
    words = in_words(("{name} {day} 的账单未读到（{why}）", "{name}'s bill of {day} is not read ({why})"))
    told = words.format(name=channel_word(channel.code), day=f"{bills.since:%m-%d}", why=_why(bills.trouble))
    if bills.missing > 1:
        more = in_words(("，共 {n} 天", ", {n} days in all"))
        told += more.format(n=formats.count(bills.missing))
    return told


def _why(trouble: BillTrouble) -> str:
    return word(trouble).rstrip("。.")


def _away(channel: Channel) -> str:
    if channel.away_since is None:
        return "–"
    return f"{formats.short_moment(channel.away_since, today=shop_day(now()))} · {channel.away_why or ''}".rstrip(" ·")


def _switched(channel: Channel) -> str:
    if channel.reason is None:
        return "–"
    return f"{formats.short_moment(channel.changed_at, today=shop_day(now()))} · {channel.reason}"


def _clock(channel: Channel) -> str:
    off = channel.clock_off_seconds
    return "–" if off is None else in_words(("{n} 秒", "{n} s")).format(n=f"{off:+,}" if off else "0")


def _bill(channel: Channel) -> str:
    bills = channel.bills
    if bills is None:
        return "–"
    if bills.since is not None:
        return in_words(("缺 {day}", "{day} missing")).format(day=f"{bills.since:%m-%d}")
    return in_words(("读至 {day}", "to {day}")).format(day=f"{bills.read_until:%m-%d}") if bills.read_until else "–"


def _bill_in_full(channel: Channel) -> str:
    """What is missing, with the channel's own word, and what its last bill has of others."""
    bills = channel.bills
    parts = [missing_bills(channel)]
    if bills is not None and bills.why:
        parts.append(bills.why)
    if bills is not None and bills.others:
        words = in_words(
            (
                "最近一份账单里有同一商户号的其他业务 {n} 笔，共 {sum}",
                "others on this merchant number: {n}, {sum} in all",
            )
        )
        parts.append(words.format(n=formats.count(bills.others), sum=formats.money(bills.others_fen)))
    return "\n".join(part for part in parts if part)


_WAYS: dict[FoundBy, Pair] = {
    FoundBy.CALLBACK: ("通知", "told"),
    FoundBy.PAGE: ("页面", "page"),
    FoundBy.SWEEP: ("定时", "sweep"),
    FoundBy.BILL: ("账单", "bill"),
    FoundBy.PERSON: ("人工", "person"),
}


def _found(channel: Channel) -> str:
    """By which ways its latest payments were learnt of: a channel whose notifications get lost shows here first."""
    total = sum(channel.found.values())
    shares = ((in_words(words), 100 * channel.found.get(way, 0) / total) for way, words in _WAYS.items() if total)
    return " · ".join(f"{way} {_percent(share)}" for way, share in shares if share) or "–"


def _percent(share: float) -> str:
    return "<1%" if share < 1 else f"{int(share)}%"


COLUMNS = (
    Column[Channel]("name", lambda c: channel_word(c.code), sample="WeChat Pay", tip=lambda c: c.code),
    Column[Channel]("state", lambda c: state_of(c)[0], tone=lambda c: state_of(c)[1], sample="Clock is off"),
    Column[Channel]("open", lambda c: formats.count(c.open_attempts), numeric=True, sample="12,345"),
    Column[Channel]("unknown", lambda c: formats.count(c.unknown), numeric=True, sample="12,345"),
    Column[Channel]("bill", _bill, sample="03-02 missing", tip=_bill_in_full),
    Column[Channel]("found", _found, sample="told 97% · sweep 2%", tip=_found),
    Column[Channel]("clock", _clock, numeric=True, sample="+12,345 s", spare=True),
    Column[Channel]("away", _away, tip=_away, sample="03-02 10:00:00 · time-out after"),
    Column[Channel]("switched", _switched, stretch=True, tip=_switched, sample="03-02 10:00:00 · 渠道通知维护"),
)


class Channels(Watched):
    """The screen's state.

    Attributes:
        feed: the channels of the shop.
        picked: the one that the person is on, by its code.
        acting: switching it.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        may = frozenset(person.permissions)
        self.may_see = Permission.PAYMENTS_CHANNEL_READ in may
        self.may_switch = Permission.PAYMENTS_CHANNEL_SWITCH in may
        self.feed: Feed[Channel] = Feed(ask, COLUMNS)
        self.picked: str | None = None
        self.acting: Acting[Channel] = Acting(ask, lambda _switched: self.open(), self.open)
        self.feed.watch(self._offer)

    def open(self) -> None:
        """Read them: their troubles are told wherever a person is."""
        if self.may_see:
            self.feed.show(lambda engine, _after: channels.list_channels(engine))

    def pick(self, at: int) -> None:
        """The person is on this row; -1 on none."""
        code = self.feed.rows[at].code if 0 <= at < len(self.feed.rows) else None
        if code is not None and code != self.picked:
            self.picked = code
            self.acting.leave()
            self._offer()

    @property
    def channel(self) -> Channel | None:
        """The one that the person is on."""
        return next((one for one in self.feed.rows if one.code == self.picked), None)

    @property
    def troubles(self) -> list[str]:
        """What everybody should know."""
        return [told for told in map(trouble, self.feed.rows) if told]

    def _offer(self) -> None:
        channel = self.channel
        self.acting.offer([_switch(channel)] if channel is not None and self.may_switch else [])
        self.changed()


def _switch(channel: Channel) -> Act[Channel]:
    """Each way is an act of its own: when somebody was quicker, the same press must not do the opposite."""
    enabled = not channel.enabled
    zh, en = CHANNELS.get(channel.code, (channel.code, channel.code))
    usual = _REASONS_ON if enabled else _REASONS_OFF

    def work(typed: Mapping[str, str]) -> Work[Channel]:
        return lambda engine: channels.switch(engine, channel, enabled=enabled, reason=typed["reason"])

    off: Pair = (
        f"新订单不再能用{zh}付款；已发起的付款、通知和退款照常处理。",
        f"New orders cannot be paid by {en}; open payments, notifications and refunds go on.",
    )
    on: Pair = (f"买家又可以用{zh}付款。", f"Buyers can pay by {en} again.")
    return Act(
        key="on" if enabled else "off",
        words=(f"启用{zh}…", f"Switch {en} on…") if enabled else (f"停用{zh}…", f"Switch {en} off…"),
        effect=on if enabled else off,
        done=(f"{zh}已启用", f"{en} is on") if enabled else (f"{zh}已停用", f"{en} is off"),
        work=work,
        entries=(Entry("reason", ("原因（必填）", "Reason (needed)"), usual=usual, most=200),),
    )
