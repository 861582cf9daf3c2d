"""Loading a program's modules at its start, for every program of ours."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import inside of this: what modules make stays for good, and looking for garbage in it takes a quarter of it.

    Where nobody collects anyhow, as in tests, it changes nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
