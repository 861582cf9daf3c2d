"""Rules of the platform's share: all that there ever were, the newest first, and a new one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

from desktop.operations import settlement
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.listing import Column
from desktop.presenters.picked import Picked
from desktop.presenters.ports import Ask
from desktop.presenters.typed import typed_ppm, typed_price
from desktop.presenters.words import in_words, party_words
from shared.contracts.fees import FeeRule, NewFeeRule
from shared.errors import BadInput, KamengError
from shared.finance import ShareKind
from shared.labels import words_of

ADD = "add"


class RuleOfNothing(BadInput):
    """A rule is of a product, or of a tier."""

    code = "fee_rule.of_nothing"
    zh = "请填写商品编码或供应商级别，至少一项。"
    en = "Name a product, a tier of suppliers, or both."


def of_what(rule: FeeRule) -> str:
    """What a rule is about."""
    tier = in_words(("级别 {tier}", "Tier {tier}")).format(tier=rule.tier) if rule.tier is not None else ""
    return " · ".join(part for part in (rule.product or "", tier) if part)


def rate(rule: FeeRule) -> str:
    """What it takes: of the amount, or of each piece."""
    return in_words(_share(rule.kind, rule.ppm, rule.unit_price))


def _share(kind: ShareKind, ppm: int, unit_price: int) -> Pair:
    if kind is ShareKind.PERCENT:
        return formats.percent(ppm), formats.percent(ppm)
    price = formats.price(unit_price)
    return f"每件 {price}", f"{price} a piece"


def _typed_share(typed: Mapping[str, str]) -> tuple[ShareKind, int, int]:
    kind = ShareKind(typed["kind"])
    is_percent = kind is ShareKind.PERCENT
    return kind, typed_ppm(typed["rate"]) if is_percent else 0, 0 if is_percent else typed_price(typed["rate"])


def _naming(typed: Mapping[str, str]) -> Pair:
    try:
        zh, en = _share(*_typed_share(typed)) if typed["rate"] else ("", "")
    except KamengError:
        zh = en = ""
    return (f"新增费率规则：{zh}", f"Make a rule: {en}") if zh else ("新增费率规则", "Make a rule")


COLUMNS = (
    Column[FeeRule]("of", of_what, stretch=True, tip=of_what, sample="STEAM-50 · 级别 standard"),
    Column[FeeRule]("rate", rate, numeric=True, sample="每件 ¥12.3456"),
    Column[FeeRule]("products", lambda r: formats.count(r.products), numeric=True, sample="100,000"),
    Column[FeeRule]("reason", lambda r: r.reason, tip=lambda r: r.reason, sample="八个汉字的原因名", spare=True),
    Column[FeeRule]("since", lambda r: formats.moment(r.valid_from), sample="2026-03-02 10:00:00"),
    Column[FeeRule]("by", lambda r: party_words(r.changed_by), sample="八个汉字名", spare=True),
)


class FeeRules(Picked[FeeRule]):
    """The state of the list."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask, COLUMNS)

    def key(self, one: FeeRule) -> Hashable:
        return one.id

    def show_list(self) -> None:
        self.feed.show(lambda engine, _after: settlement.list_fee_rules(engine))

    def acts(self) -> list[Act[Any]]:
        one = self.chosen
        return [
            Act(
                ADD,
                ("新增费率规则…", "Make a rule…"),
                (
                    "从现在起下的订单按新规则计平台服务费，越具体的规则越优先；已下的订单不变。",
                    "What is ordered from now on follows it; the most particular rule counts. Older orders stay.",
                ),
                ("已生效", "It counts from now on"),
                self._add,
                (
                    Entry("product", ("商品编码（空为全部）", "Product (empty: all)"), needed=False, most=64),
                    Entry("tier", ("供应商级别（空为全部）", "Tier (empty: all)"), needed=False, most=32),
                    Entry("kind", ("怎么算", "How"), choices=_KINDS, value=one.kind if one else ShareKind.PERCENT),
                    Entry("rate", ("比例（%）或每件（元）", "Percent, or yuan a piece"), most=12),
                    Entry("reason", ("原因与依据（必填，会记入操作日志）", "Why (needed; it goes into the log)")),
                ),
                naming=_naming,
            )
        ]

    def _add(self, typed: Mapping[str, str]) -> Work[FeeRule]:
        product, tier = typed["product"] or None, typed["tier"] or None
        if product is None and tier is None:
            raise RuleOfNothing
        kind, ppm, unit_price = _typed_share(typed)
        rule = NewFeeRule(
            id=self.acting.attempt_id,
            product=product,
            tier=tier,
            kind=kind,
            ppm=ppm,
            unit_price=unit_price,
            reason=typed["reason"],
        )
        return partial(settlement.add_fee_rule, new=rule)


_KINDS = tuple((kind.value, words_of(kind)) for kind in ShareKind)
