"""docs/states.md is what shared/states.py says. After changing a table there, from the root of the repository:

python -m tests.rules.test_states_page
"""

from pathlib import Path

from shared.labels import LABELS
from shared.states import MACHINES

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
HEAD = """\
# States

Every state machine of the shop, drawn from the tables of `shared/states.py`, by which the server compares and sets and
the console greys out. A move that is not here is refused with the current state. After changing a table:
`python -m tests.rules.test_states_page`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(section, MACHINES)])


def section(machine) -> str:
    """One machine: what it is about, its moves, and what people read for its states."""
    moves = MACHINES[machine]
    ends = [state for state, targets in moves.items() if not targets]
    lines = [f"## {machine.__name__}", "", machine.__doc__.strip(), "", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {name(state)} --> {name(to)}" for state in moves for to in machine if to in moves[state]]
    lines += [f"    {name(state)} --> [*]" for state in ends]
    lines += ["```", ""]
    if machine in LABELS:
        lines += ["| state | 中文 | English |", "| --- | --- | --- |"]
        lines += [f"| `{name(state)}` | {' | '.join(LABELS[machine][state])} |" for state in machine]
        lines += [""]
    return "\n".join(lines)


def name(state) -> str:
    """As it is stored; for the small integers of units, as it is called."""
    return state.name.lower()


def test_the_page_of_states_is_what_the_tables_say():
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.rules.test_states_page`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
