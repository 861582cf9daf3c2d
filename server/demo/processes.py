"""Child processes of the demo: started, waited for until they answer, and stopped together."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from server.demo import channels
from server.outbound import Outbound, Unanswered
from server.settings import Settings, as_environment
from shared.errors import KamengError

SANDBOX = "sandbox"
READY_SECONDS = 60
STOP_SECONDS = 30


class ChildFailed(KamengError):
    """A process of ours ended, or did not answer in time."""

    code = "child_failed"
    status = 500
    zh = "{name} 没有启动成功。日志：{log}"
    en = "{name} did not start. Its log: {log}"


@dataclass
class Children:
    """The running children, in the order they were started."""

    folder: Path
    running: list[tuple[str, subprocess.Popen[str]]]

    def start(
        self, name: str, arguments: Sequence[str], *, settings: Settings, stdout: int | None = None
    ) -> subprocess.Popen[str]:
        """Start `python -m ...` with the settings as its environment; its log is `<folder>/<name>.log`."""
        log = self.log(name)
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=as_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else log,
            stderr=log,
            text=True,
        )
        self.running.append((name, child))
        return child

    def log(self, name: str) -> IO[str]:
        """The log of a child, opened for appending."""
        return (self.folder / f"{name}.log").open("a")

    def failed(self, name: str) -> ChildFailed:
        """What to raise when a child is gone."""
        return ChildFailed(name=name, log=str(self.folder / f"{name}.log"))

    def stop(self) -> None:
        """Ask all to stop, the last one first, and wait; a child that does not listen is killed."""
        for _, child in reversed(self.running):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for _, child in reversed(self.running):
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()


@contextmanager
def children(folder: Path) -> Iterator[Children]:
    """Children that end with the body, however it ends."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    started = Children(folder=folder, running=[])
    try:
        yield started
    finally:
        started.stop()


def start_sandbox(started: Children, settings: Settings, *, port: int) -> str:
    """Start the payment sandbox and exchange public keys as with a real channel; answers its address."""
    folder = settings.data / SANDBOX
    child = started.start(
        SANDBOX,
        ["server", SANDBOX, "--data", str(folder), "--port", str(port)],
        settings=settings,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.strip():
        raise started.failed(SANDBOX)
    ready = json.loads(line)
    try:
        channels.exchange(settings, ready, log=started.folder / "keys.log")
    except channels.NotExchanged:
        raise started.failed("keys") from None
    return str(ready["url"])


def start_server(started: Children, settings: Settings) -> None:
    """Start the shop's server and wait until it is ready for requests."""
    child = started.start("server", ["server", "serve"], settings=settings)
    deadline = time.monotonic() + READY_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        if asyncio.run(_answers(f"{settings.base_url}/readyz")):
            return
        time.sleep(0.05)
    raise started.failed("server")


async def _answers(url: str) -> bool:
    try:
        return (await Outbound(total_seconds=2).exchange("GET", url, headers={})).status == 200
    except Unanswered:
        return False
