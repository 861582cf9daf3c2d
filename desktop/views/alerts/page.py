"""The Alerts screen: what stands, by the money it costs a day; what was; and from each the way to its SKU."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QStackedWidget, QTabBar

from desktop.presenters.alerts import Alerts
from desktop.presenters.formats import money
from desktop.theme.tokens import SPACE
from desktop.views.alerts.rule import RuleSheet
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.widgets.basics import button, only_if, row
from desktop.widgets.words import sentence, state_word
from shared.contracts.alerts import Alert

LIVE, PAST = 0, 1


class AlertsPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Alerts) -> None:
        super().__init__("alerts")
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("库存预警"))
        self._buttons()
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.addTab("")
        self.tabs.addTab("")
        self.say(partial(self.tabs.setTabText, LIVE), lambda: self.tr("当前"))
        self.say(partial(self.tabs.setTabText, PAST), lambda: self.tr("历史"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("当前或历史"))
        line = row(margins=(24, 0, 24, 6))
        line.addWidget(self.tabs)
        line.addStretch(1)
        self.body.addLayout(line)
        self._stack = QStackedWidget()
        self.live = FeedView(
            presenter.live,
            name=lambda: self.tr("当前预警"),
            titles=lambda: [self.tr("每天可能损失"), *self._usual_titles()],
            empty_icon="check",
            remembered_as="alerts",
            empty=lambda: (self.tr("没有预警"), self.tr("每个规格的库存都够卖。")),
            key=lambda alert: alert.id,
        )
        self.past = FeedView(
            presenter.past,
            name=lambda: self.tr("历史预警"),
            titles=lambda: [*self._usual_titles(), self.tr("解除时间")],
            empty_icon="bell",
            remembered_as="past_alerts",
            empty=lambda: (self.tr("还没有过预警"), ""),
            key=lambda alert: alert.id,
        )
        for view in (self.live, self.past):
            view.table.opened.connect(lambda _row: self.open_sku())
            view.table.row_changed.connect(lambda _row: self._look_at_buttons())
            self._stack.addWidget(view)
        self.table = self.live.table
        self.body.addWidget(self._stack, 1)
        self.tabs.currentChanged.connect(self._tab_changed)
        self._handle()
        presenter.watch(self._look)
        presenter.past.watch(self._look)
        self.on_words(self._look)
        self._look()

    def _buttons(self) -> None:
        self._open = button(icon_name="stock")
        self._import = button(role="primary", icon_name="import")
        self._rule = button(icon_name="bell")
        self._clear = button(icon_name="check")
        self.say(self._open.setText, lambda: self.tr("看库存"))
        self.say(self._import.setText, lambda: self.tr("立即补货"))
        self.say(self._rule.setText, lambda: self.tr("预警规则"))
        self.say(self._clear.setText, lambda: self.tr("标记已处理"))
        self.add_refresh()
        for press, run, shown in (
            (self._clear, self.clear, self.presenter.may_edit),
            (self._rule, self.set_rule, self.presenter.may_edit),
            (self._open, self.open_sku, True),
            (self._import, self.import_now, self.presenter.may_import),
        ):
            press.clicked.connect(run)
            only_if(shown, press)
            self.tools.addWidget(press)
        self.tools.setSpacing(SPACE)

    def _handle(self) -> None:
        self.handle("alert.open_sku", self.open_sku, when=lambda: self.picked is not None)
        self.handle("alert.import_now", self.import_now, when=lambda: self.picked is not None)
        self.handle("alert.set_rule", self.set_rule, when=lambda: self.picked is not None)
        self.handle("alert.clear", self.clear, when=lambda: self.may_clear)

    @property
    def picked(self) -> Alert | None:
        """The alert that the person is on."""
        view, feed = (
            (self.live, self.presenter.live) if self.tabs.currentIndex() == LIVE else (self.past, self.presenter.past)
        )
        at = view.table.current_row()
        return feed.rows[at] if 0 <= at < len(feed.rows) else None

    @property
    def may_clear(self) -> bool:
        """Whether the alert in front stands, and may be cleared by this person."""
        alert = self.picked
        return alert is not None and alert.cleared_at is None and self.presenter.may_edit and not self.presenter.busy

    def enter(self) -> None:
        if self.presenter.live.as_of is None and not self.presenter.live.loading:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def open_sku(self) -> None:
        """Go to the stock of this SKU."""
        if self.picked is not None:
            self.wanted.emit("stock", self.picked.sku)

    def import_now(self) -> None:
        """Import into this SKU."""
        if self.picked is not None and self.presenter.may_import:
            self.wanted.emit("imports", self.picked.sku)

    def set_rule(self) -> None:
        """Change the rule that raised it."""
        if self.picked is not None and self.presenter.may_edit:
            RuleSheet(self.presenter, self.picked.sku, self.picked.name, self.window()).open()

    def clear(self) -> None:
        """Say that it was seen to."""
        if self.picked is not None and self.may_clear:
            self.presenter.clear(self.picked)

    def _tab_changed(self, at: int) -> None:
        self._stack.setCurrentIndex(at)
        if at == PAST and self.presenter.past.as_of is None:
            self.presenter.open_past()
        self._look()

    def _look(self) -> None:
        presenter = self.presenter
        loss = sum(alert.loss_fen for alert in presenter.live.rows)
        self.subtitle.setText(
            self.tr("按每天可能损失的金额排列，合计 {loss}").format(loss=money(loss))
            if loss
            else self.tr("哪些快卖完、快过期，或不对劲")
        )
        is_in_sheet = presenter.rule_of is not None
        error = presenter.error
        self.notice.tell(sentence(error) if error is not None and not is_in_sheet else "", tone="danger")
        self.counted.emit(presenter.count)
        if presenter.fresh:
            self._tell_fresh(presenter.fresh)
        if presenter.said is not None:
            what, about = presenter.said
            words = self.tr("“{name}”的预警已处理") if what == "cleared" else self.tr("{name} 的预警规则已保存")
            self.told.emit(words.format(name=about), "success")
        self._look_at_buttons()
        self.show_age(presenter.live.as_of if self.tabs.currentIndex() == LIVE else presenter.past.as_of)

    def _tell_fresh(self, fresh: list[Alert]) -> None:
        first = fresh[0]
        words = self.tr("{name}：{kind}").format(name=first.name, kind=state_word(first.kind))
        if len(fresh) > 1:
            names = self.tr("、").join(dict.fromkeys(alert.name for alert in fresh[:3]))
            words = self.tr("%n 个新的库存预警：{names}", None, len(fresh)).format(names=names)
        self.offered.emit(words, self.tr("查看"), lambda: self.wanted.emit("alerts", None))

    def _look_at_buttons(self) -> None:
        has_one = self.picked is not None
        for press in (self._open, self._import, self._rule):
            press.setEnabled(has_one)
        self._clear.setEnabled(self.may_clear)
        self.changed.emit()

    def _usual_titles(self) -> list[str]:
        return [
            self.tr("预警"),
            self.tr("规格"),
            self.tr("编码"),
            self.tr("情况"),
            *([self.tr("供应商")] if self.presenter.tells_supplier else []),
            self.tr("开始时间"),
        ]
