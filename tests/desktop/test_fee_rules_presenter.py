"""Rules of the platform's share without a display: what a rule will take is said before it is made."""

import pytest

from desktop.presenters.fee_rules import FeeRules
from tests.desktop.test_presenters_lists import Later


@pytest.mark.parametrize(
    ("kind", "rate", "named"),
    [
        ("percent", "3", ("：3%", ": 3%")),
        ("fixed", "3", ("：每件 ¥3.00", ": ¥3.00 a piece")),
        *((kind, rate, ("", "")) for kind, rate in (("percent", ""), ("percent", "101"), ("fixed", "x"))),
    ],
)
def test_a_rule_is_named_by_what_it_will_take(kind, rate, named):
    [add] = FeeRules(Later()).acts()
    zh, en = named
    assert add.named({"kind": kind, "rate": rate}) == (f"新增费率规则{zh}", f"Make a rule{en}")
