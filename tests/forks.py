"""Our programs in processes forked from one that has imported them and done nothing else.

A test that starts many would otherwise spend most of its time importing. Where nothing forks they are spawned.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

Output = Path | Connection


@cache
def context():
    """Where new processes come from: one for a whole worker, so that all its tests share it."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.forked"])
    return forks


def start(
    main: Callable[[Sequence[str]], int],
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    out: Output,
    err: Output | None = None,
) -> BaseProcess:
    """Run `main(arguments)` in a new process, whose exit status it answers; it writes to `out`, errors to `err`."""
    process = context().Process(target=_live, args=(main, arguments, environment, out, err or out), daemon=True)
    process.start()
    return process


def _live(main, arguments, environment, out, err):
    """The whole life of such a process."""
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(_writing(out), sys.stdout.fileno())
    os.dup2(_writing(err), sys.stderr.fileno())
    sys.exit(main(arguments))


def _writing(output: Output) -> int:
    return output.fileno() if isinstance(output, Connection) else os.open(output, _APPENDING, 0o600)


_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND
