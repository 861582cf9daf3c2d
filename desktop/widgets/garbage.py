"""Collects what reference counts leave over, in the window's thread alone.

Qt ends a connection under a lock of its own, and then takes the interpreter's. When another thread, the engine's,
happens to collect the receiver of a signal while the window works on it, the two wait for each other for ever.
"""

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MILLISECONDS = 500


class Garbage(QObject):
    """While it lives no thread collects by itself; the window does, when it has nothing else to do."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        timer = QTimer(self)
        timer.timeout.connect(collect_what_is_due)
        timer.start(EVERY_MILLISECONDS)


def collect_what_is_due() -> None:
    """As the interpreter does it: the oldest generation that is over its threshold, and all that are younger."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    due = [generation for generation in range(3) if counts[generation] > thresholds[generation]]
    if due:
        gc.collect(due[-1])
