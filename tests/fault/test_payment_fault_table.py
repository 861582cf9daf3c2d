"""Each of the 52 faults of payments.md 7 has a test with its number, or a home that is named here.

pytest -k fault_07          the tests of one fault
"""

import ast
import re
from pathlib import Path

FAULTS = range(1, 53)
HOMES = {
    32: "tests/fault/test_kill.py::test_one_order_survives_the_death_of_the_server_at_each_of_its_steps",
    33: "tests/fault/test_kill.py::test_one_order_survives_the_death_of_the_server_at_each_of_its_steps",
}
"""Proved elsewhere, for other reasons too: a server killed at each step."""

_NUMBER = re.compile(r"(?:test_fault|and)_(\d\d)(?=_)")


def _tests(path):
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_fault_has_a_test_or_a_home():
    here = Path(__file__).parent
    named = [name for path in here.glob("test_payment_faults_*.py") for name in _tests(path)]
    tested = {int(number) for name in named if name.startswith("test_fault_") for number in _NUMBER.findall(name)}
    assert tested | HOMES.keys() == set(FAULTS)
    assert tested.isdisjoint(HOMES)
    for home in HOMES.values():
        path, _, name = home.partition("::")
        assert name in _tests(here.parents[1] / path), home
