"""Processes forked from one that has imported our programs and done nothing else.

A test that starts many would otherwise spend most of its time importing. Unix only.
"""

import multiprocessing
from functools import cache


@cache
def context():
    """Where new processes come from: one for a whole worker, so that all its tests share it."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["desktop.importing.process", "tests.fault.dying_server"])
    return forks
