"""`make run`: a shop on this machine in one command. Stopping it leaves nothing behind but its data folder."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from types import FrameType

from server import app, migrations, serving
from server.crypto import KeyRing
from server.db import Database
from server.demo.goods import PEOPLE
from server.demo.processes import Children, children, start_sandbox, start_server
from server.demo.seed import seed
from server.exclusive import sole_writer
from server.settings import Settings, has_display


class _Stopped(Exception):
    """Somebody asked us to stop."""


def run(settings: Settings, *, sandbox_port: int, console: bool) -> int:
    """Start everything, say where it is, and wait until somebody stops it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    prepare(settings)
    serving.take_port(settings).close()
    serving.take_port(replace(settings, port=sandbox_port)).close()
    with children(settings.data / "logs") as started:
        try:
            settings, passwords = open_shop(started, settings, sandbox_port=sandbox_port)
            _say_where(settings, passwords)
            if not has_display():
                print("  没有显示器，未打开控制台 / no display: the console was not opened\n", flush=True)
            elif console:
                started.start("console", ["desktop", "--server", settings.base_url], settings=settings)
            _wait(started)
        except _Stopped:
            print("\n正在停止… / stopping …", flush=True)
    return 0


def prepare(settings: Settings) -> None:
    """Make the data folder, key ring and schema where they are missing."""
    settings.prepare_data_folder()
    if settings.key_ring is None and not settings.key_ring_file.exists():
        KeyRing.create(settings.key_ring_file)
    with sole_writer(settings.sqlite_file):
        db = Database(settings.database_url)
        if migrations.current(db) != migrations.head():
            migrations.upgrade(db)
        db.close()


def open_shop(started: Children, settings: Settings, *, sandbox_port: int) -> tuple[Settings, dict[str, str]]:
    """Sandbox, demo goods the first time, server; answers the settings in force and the demo's passwords."""
    settings = replace(settings, sandbox_url=start_sandbox(started, settings, port=sandbox_port))
    with sole_writer(settings.sqlite_file):
        ctx = app.assemble(settings)
        passwords = seed(ctx)
        ctx.db.close()
    start_server(started, settings)
    return settings, passwords


def _say_where(settings: Settings, passwords: dict[str, str]) -> None:
    lines = [
        "",
        f"  {settings.shop_name}",
        f"  店铺 / storefront      {settings.base_url}",
        f"  支付沙箱 / sandbox     {settings.sandbox_url}",
        f"  数据 / data            {settings.data}",
        "",
        f"  控制台登录 / console sign-ins  (.venv/bin/kameng --server {settings.base_url})",
    ]
    lines += [
        f"    {person.login:10} {passwords[person.login]}    {person.name} · {person.role.value}"
        for person in PEOPLE
        if person.login in passwords
    ]
    lines += ["", "  按 Ctrl+C 停止 / press Ctrl+C to stop", ""]
    print("\n".join(lines), flush=True)


def _wait(started: Children) -> None:
    """Until a part that the shop needs is gone; a closed console is nothing to stop for."""
    while True:
        for name, child in started.running:
            if name != "console" and child.poll() is not None:
                raise started.failed(name)
        time.sleep(0.5)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
