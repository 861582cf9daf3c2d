"""What happens when a machine lacks something a test needs: a skip with a reason for people, a failure in CI.

Also Qt: where its system libraries are missing, importing it skips the test (or its module) with that reason, and
everything that needs no window still runs.
"""

import importlib
import importlib.abc
import os
import sys
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
_MARK = "NOT TESTED HERE: "


def absent(reason: str) -> NoReturn:
    """Leave the test or module that cannot run here; a green CI must never hide that it ran nothing."""
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(_MARK + reason, allow_module_level=True)


def loud_lines(skipped: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Return one line for each reason that ``absent`` gave, with the number of tests or modules it hit."""
    reasons = Counter(str(report.longrepr[2]).partition(_MARK)[2] for report in skipped)
    return [f"!!! {_MARK}{reason}; {count} skipped" for reason, count in reasons.items() if reason]


def qt_trouble() -> str | None:
    """Say why Qt does not load on this machine; None when it does."""
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        return f"Qt does not load: {error} (Debian: resources/setup/debian.sh run, as an administrator)"
    return None


class WithoutQt(importlib.abc.MetaPathFinder):
    """Turns each import of Qt into a skip."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Leave the test that wants Qt; every other import goes on."""
        if name.partition(".")[0] in {"PySide6", "pytestqt"}:
            absent(self._reason)

    def install(self) -> None:
        """Take effect from now on, also for what was half imported."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "PySide6"]:
            del sys.modules[name]
        sys.meta_path.insert(0, self)
