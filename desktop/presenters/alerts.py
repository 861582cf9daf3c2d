"""The Alerts screen: what stands, the most money at stake first; what was; the rule of a SKU. And what is new."""

from __future__ import annotations

from uuid import UUID

from pydantic import ValidationError

from desktop.operations import alerts
from desktop.operations.alerts import AlertCleared, RuleSet
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.alerts import Alert, AlertRule
from shared.contracts.identity import Person
from shared.permissions import Permission
from shared.states import AlertKind

_FIGURES: dict[AlertKind, tuple[str, str]] = {
    AlertKind.SOLD_OUT: ("已卖空，近 7 天每天卖 {daily} 张", "Sold out; {daily} a day sold lately"),
    AlertKind.LOW_STOCK: ("只剩 {figure} 张，近 7 天每天卖 {daily} 张", "{figure} left; {daily} a day sold lately"),
    AlertKind.LOW_COVER: (
        "还够卖 {tenths} 天：剩 {for_sale} 张，每天卖 {daily} 张",
        "Lasts {tenths} days: {for_sale} left, {daily} a day sold",
    ),
    AlertKind.EXPIRING: ("{figure} 张快到停售日，在售共 {for_sale} 张", "{figure} stop selling soon, of {for_sale}"),
    AlertKind.OFFERED_ELSEWHERE: (
        "{figure} 张与其他供应商的卡密相同，已拒绝入库",
        "{figure} are keys of another supplier; they were refused",
    ),
    AlertKind.REVEALED_OFTEN: ("短时间内查看了 {figure} 张明文", "{figure} keys were revealed in a short time"),
}


def says(alert: Alert) -> str:
    """What is the matter, in one line."""
    return in_words(_FIGURES[alert.kind]).format(
        figure=formats.count(alert.figure),
        tenths=formats.tenths(alert.figure),
        for_sale=formats.count(alert.for_sale),
        daily=formats.tenths(alert.daily),
    )


def _when(alert: Alert) -> str:
    return formats.short_moment(alert.raised_at, today=shop_day(now()))


def _cleared(alert: Alert) -> str:
    return formats.short_moment(alert.cleared_at, today=shop_day(now()))


_KIND = Column[Alert]("kind", lambda a: word(a.kind), tone=lambda a: tone(a.kind), sample="Key of another supplier")
_NAME = Column[Alert]("name", lambda a: a.name, sample="十个汉字的规格名称大约")
_SKU = Column[Alert]("sku", lambda a: a.sku, code=True, sample="STEAM-W-100")
_SAYS = Column[Alert]("says", says, stretch=True, tip=says, sample="12,345 张快到停售日，在售")
_SUPPLIER = Column[Alert]("supplier", lambda a: a.supplier, sample="星河数码")
_RAISED = Column[Alert]("raised", _when, sample="03-02 10:00:00", tip=lambda a: formats.moment(a.raised_at))
_LOSS = Column[Alert](
    "loss", lambda a: formats.money(a.loss_fen) if a.loss_fen else "–", numeric=True, sample="¥123,456.00"
)
_CLEARED = Column[Alert]("cleared", _cleared, sample="03-02 10:00:00", tip=lambda a: formats.moment(a.cleared_at))

COLUMNS = (_LOSS, _KIND, _NAME, _SKU, _SAYS, _SUPPLIER, _RAISED)
PAST_COLUMNS = (_KIND, _NAME, _SKU, _SAYS, _SUPPLIER, _RAISED, _CLEARED)


class Alerts(Watched):
    """The screen's state, and what the rest of the window shows of it.

    Attributes:
        live, past: the two lists.
        fresh: alerts that have come since the last look at the server, for one toast; told once.
        rule_of, rule: whose rule is being edited, and what it is; None while it is read.
        busy: a change is on its way.
        said: what the last change did: (`cleared`, name) or (`rule`, sku); told once.
        error: why something failed.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        may = frozenset(person.permissions)
        self._ask = ask
        self._latest = Latest()
        self._known: set[UUID] | None = None
        self.may_see = Permission.STOCK_ALERT_READ in may
        self.may_edit = Permission.STOCK_ALERT_EDIT in may
        self.may_import = Permission.STOCK_IMPORT_CREATE in may
        self.tells_supplier = person.supplier_id is None
        self.live: Feed[Alert] = Feed(ask, self._told(COLUMNS))
        self.past: Feed[Alert] = Feed(ask, self._told(PAST_COLUMNS))
        self.fresh: list[Alert] = []
        self.rule_of: str | None = None
        self.rule: AlertRule | None = None
        self.busy = False
        self.said: tuple[str, str] | None = None
        self.error: Exception | None = None
        self.live.watch(self._compare)

    def _told(self, columns: tuple[Column[Alert], ...]) -> tuple[Column[Alert], ...]:
        """A supplier sees only their own goods: whose they are need not be told."""
        return tuple(one for one in columns if self.tells_supplier or one is not _SUPPLIER)

    def open(self) -> None:
        """Read what stands: the badge is shown wherever a person is."""
        if self.may_see:
            self.live.show(lambda engine, after: alerts.list_alerts(engine, live=True, after=after))

    def open_past(self) -> None:
        """Read what was."""
        self.past.show(lambda engine, after: alerts.list_alerts(engine, live=False, after=after))

    def renew(self) -> None:
        """Alerts changed somewhere: what stands is always shown as it is, nobody works in that list row by row."""
        if self.may_see:
            self.live.reload()
            if self.past.as_of is not None:
                self.past.renew(is_own=False)

    def refresh(self) -> None:
        """Read what is shown again."""
        self.live.reload()
        if self.past.as_of is not None:
            self.past.reload()

    @property
    def count(self) -> int:
        """How many stand."""
        return len(self.live.rows)

    def clear(self, alert: Alert) -> None:
        """A person has seen to it."""
        if self.may_edit and not self.busy and alert.cleared_at is None:
            self._begin()
            self._ask(lambda engine: alerts.clear(engine, alert), self._was_cleared, self._failed)

    def edit_rule(self, sku: str) -> None:
        """Read the rule of a SKU, to change it."""
        self.rule_of, self.rule, self.error = sku, None, None
        then = self._latest.only(self._rule_read)
        self._ask(lambda engine: alerts.rule_of(engine, sku), then, self._latest.also(self._failed))
        self.changed()

    def set_rule(self, *, below: int | None, cover_days: int | None, expiring_days: int | None) -> None:
        """Give the SKU another rule."""
        sku = self.rule_of
        if sku is None or self.busy:
            return
        try:
            rule = AlertRule(below=below, cover_days=cover_days, expiring_days=expiring_days)
        except ValidationError:  # the editor's fields have the same limits
            return
        self._begin()
        self._ask(lambda engine: alerts.set_rule(engine, sku, rule), self._rule_set, self._failed)

    def leave_rule(self) -> None:
        """Do not change it."""
        self._latest.only(self._failed)
        self.rule_of, self.rule, self.error = None, None, None

    def _begin(self) -> None:
        self.busy, self.error = True, None
        self.changed()

    def _compare(self) -> None:
        """Tell what is new since the list was read before; the first list of a session is old news."""
        if self.live.as_of is not None and not self.live.loading:
            standing = {alert.id for alert in self.live.rows}
            if self._known is not None:
                self.fresh = [alert for alert in self.live.rows if alert.id not in self._known]
            self._known = (self._known or set()) | standing
        self.changed()
        self.fresh = []

    def _was_cleared(self, cleared: AlertCleared) -> None:
        self._say("cleared", cleared.alert.name)
        self.live.reload()

    def _rule_read(self, rule: AlertRule) -> None:
        self.rule = rule
        self.changed()

    def _rule_set(self, done: RuleSet) -> None:
        self.rule_of, self.rule = None, None
        self._say("rule", done.sku)

    def _say(self, what: str, about: str) -> None:
        self.busy, self.said = False, (what, about)
        self.changed()
        self.said = None

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()
