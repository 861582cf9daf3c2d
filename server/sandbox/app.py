"""Starts the sandbox: reads the command line, takes the port and the data folder, wires the parts, serves.

`main(argv)` is the whole process: it returns the exit status, 0 after an orderly stop and 2 with one sentence on stderr
when it cannot start. When it is ready it prints one line of JSON on stdout: `url` (what `--port 0` chose),
`data`, `public_key` (the file merchants need) and `merchants` (the folder for their keys).
"""

import argparse
import asyncio
import errno
import ipaddress
import json
import logging
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from server.sandbox.alipay import AlipayDialect
from server.sandbox.bill_panel import BillPanel
from server.sandbox.connections import Connection
from server.sandbox.database import Database
from server.sandbox.dialect import Dialect
from server.sandbox.door import Door, load_or_make_token
from server.sandbox.engine import Engine
from server.sandbox.epay import EpayDialect
from server.sandbox.keys import KeyFileUnusable
from server.sandbox.live_keys import live_key_in
from server.sandbox.notify import Notifier
from server.sandbox.own import OwnDialect
from server.sandbox.pages import Pages
from server.sandbox.panel import Panel
from server.sandbox.records import StoreInUse, StoreTooNew
from server.sandbox.rendering import Rendering
from server.sandbox.testing_api import TestingApi
from server.sandbox.wechat import WechatDialect
from server.sandbox.wechat_refunds import GAP_SECONDS
from server.sandbox.words import SENTENCES

log = logging.getLogger("server.sandbox")

DEFAULT_PORT = 8790
_BACKLOG = 2048
_STOP_WITHIN_SECONDS = 2


class CannotStart(Exception):
    """The sandbox cannot start; the text is for the person who tried."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, read."""

    data_folder: Path
    host: str
    port: int
    base_url: str | None
    allow_public: bool
    retry_after_seconds: Sequence[float] | None
    refund_gap_seconds: float
    has_scenarios: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sandbox until it is told to stop; return the exit status."""
    options = _read_command_line(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        listener = _listen(options)
        with listener:
            base_url = options.base_url or _url_of(listener)
            database = _open_database(options.data_folder)
            try:
                engine = Engine(database, has_scenarios=options.has_scenarios)
                # After the database, whose lock makes sure that only one process makes keys here.
                for dialect in _open_dialects(engine, options, base_url):
                    engine.dialects[dialect.channel] = dialect
                _serve(options, listener, engine=engine, base_url=base_url)
            finally:
                database.close()
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


def create_app(
    engine: Engine,
    *,
    base_url: str,
    token: str | None = None,
    retry_after_seconds: Sequence[float] | None,
    on_ready: Callable[[], None],
    on_failure: Callable[[], None],
) -> Starlette:
    """Wire the parts. `on_ready` is called once deliveries run, `on_failure` should they ever stop by themselves.

    With a `token` testers' pages ask for it: the sandbox is public.
    """
    notifier = Notifier(engine.mailbox, engine.dialects, retry_after_seconds=retry_after_seconds)
    engine.wake = notifier.wake
    rendering = Rendering(base_url)
    testing = TestingApi(engine, base_url=base_url)
    panel, pages = Panel(engine, rendering), Pages(engine, rendering)
    bills = BillPanel(engine, rendering)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(notifier.run(), name="notifier")

        def stopped(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                log.critical("the notifier stopped by itself", exc_info=task.exception())
                on_failure()

        sending.add_done_callback(stopped)
        on_ready()
        yield
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        for dialect in engine.dialects.values():
            if request.url.path.startswith(dialect.prefix):
                return dialect.lost(request, error.status_code)
        return rendering.problem(request, error.status_code, "not_found")

    async def fail(request: Request, _error: Exception) -> Response:
        return rendering.problem(request, 500, "wrong")

    channels = [route for dialect in engine.dialects.values() for route in dialect.routes()]
    merchants = [*(dialect.prefix for dialect in engine.dialects.values()), "/v3/"]
    door = Middleware(Door, base_url=base_url, merchants=merchants, rendering=rendering, token=token)
    return Starlette(
        middleware=[door],
        routes=[*channels, *testing.routes(), *panel.routes(), *bills.routes(), *pages.routes(), rendering.route()],
        lifespan=lifespan,
        exception_handlers={HTTPException: refuse_http, Exception: fail},
    )


def _serve(options: Options, listener: socket.socket, *, engine: Engine, base_url: str) -> None:
    token_file, token = load_or_make_token(options.data_folder) if options.allow_public else (None, None)

    def announce() -> None:
        ready: dict[str, object] = {"url": base_url, "data": str(options.data_folder)}
        if token_file is not None:
            ready["tester_token"] = str(token_file)
        for dialect in engine.dialects.values():
            ready |= dialect.ready()
        sys.stdout.write(json.dumps(ready) + "\n")  # plain ASCII: any terminal and any pipe can carry it
        sys.stdout.flush()

    def stop() -> None:
        server.should_exit = True

    app = create_app(
        engine,
        base_url=base_url,
        token=token,
        retry_after_seconds=options.retry_after_seconds,
        on_ready=announce,
        on_failure=stop,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Connection,
            access_log=False,
            log_level="warning",
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=_STOP_WITHIN_SECONDS,
        )
    )
    if threading.current_thread() is threading.main_thread():
        # uvicorn stops in good order on these, then raises them again for whoever was there before: nobody.
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
    server.run(sockets=[listener])


# The command line and what can be wrong with it


def _read_command_line(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="kameng-server sandbox",
        description="支付沙箱：真实签名、可制造故障的测试支付渠道。 / A payment channel for tests that signs for real.",
    )
    parser.add_argument("--data", type=Path, required=True, help="数据目录 / folder for keys and the data file")
    parser.add_argument("--host", default="127.0.0.1", help="监听地址 / address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help=f"端口，0 为任选 / port, 0 for any free one ({DEFAULT_PORT})"
    )
    parser.add_argument("--base-url", type=_base_url, help="买家访问的地址 / where buyers reach it (http://HOST:PORT)")
    parser.add_argument(
        "--allow-public", action="store_true", help="允许非回环地址 / allow an address that is not loopback"
    )
    parser.add_argument(
        "--retry-seconds",
        type=_retry_seconds,
        metavar="S,S,...",
        help="通知重试间隔 / waits between deliveries of a notification, instead of each channel's own",
    )
    parser.add_argument(
        "--refund-gap-seconds",
        type=_gap_seconds,
        default=GAP_SECONDS,
        metavar="S",
        help=f"微信同一订单两次退款的间隔 / time between refunds of one payment at WeChat Pay ({GAP_SECONDS:.0f})",
    )
    parser.add_argument(
        "--scenarios", action="store_true", help="金额末三位选择故障 / the last digits of an amount choose a fault"
    )
    read = parser.parse_args(argv)
    return Options(
        data_folder=read.data.absolute(),
        host=read.host,
        port=read.port,
        base_url=read.base_url,
        allow_public=read.allow_public,
        retry_after_seconds=read.retry_seconds,
        refund_gap_seconds=read.refund_gap_seconds,
        has_scenarios=read.scenarios,
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("0..65535")
    return port


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError("http(s)://HOST[:PORT][/PATH]")
    return text.rstrip("/")


def _retry_seconds(text: str) -> tuple[float, ...]:
    waits = tuple(float(wait) for wait in text.split(","))
    if len(waits) > 100 or not all(0 <= wait <= 86_400 for wait in waits):
        raise argparse.ArgumentTypeError("1..100 waits of 0..86400 seconds")
    return waits


def _gap_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= GAP_SECONDS:
        raise argparse.ArgumentTypeError(f"0..{GAP_SECONDS:.0f}")
    return seconds


def _listen(options: Options) -> socket.socket:
    """Return a socket that listens already, so that nobody who read the ready line is turned away."""
    facts = {"host": options.host, "port": options.port}
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotStart(_both("cannot_listen", **facts, detail=error.strerror or str(error))) from error
    if not options.allow_public and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise CannotStart(_both("not_loopback", **facts))

    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(_both("port_taken", **facts)) from error
        raise CannotStart(_both("cannot_listen", **facts, detail=error.strerror or str(error))) from error
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open_database(folder: Path) -> Database:
    path = folder / "sandbox.db"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Database(path)
    except StoreInUse as error:
        raise CannotStart(_both("folder_in_use", folder=folder)) from error
    except StoreTooNew as error:
        raise CannotStart(_both("store_too_new", folder=folder)) from error
    except OSError as error:
        detail = error.strerror or str(error)
        raise CannotStart(_both("folder_unusable", folder=folder, detail=detail)) from error
    except sqlite3.OperationalError as error:
        raise CannotStart(_both("folder_unusable", folder=folder, detail=error)) from error
    except sqlite3.DatabaseError as error:
        raise CannotStart(_both("store_damaged", path=path, detail=error)) from error


def _open_dialects(engine: Engine, options: Options, base_url: str) -> list[Dialect]:
    """The channels; each makes its keys at the first start."""
    folder = options.data_folder
    try:
        live = live_key_in(folder / "merchants")
        if live is not None:
            raise CannotStart(_both("live_keys", path=live))
        return [
            OwnDialect(engine, folder, base_url),
            WechatDialect(engine, folder, base_url, refund_gap_seconds=options.refund_gap_seconds),
            AlipayDialect(engine, folder, base_url),
            EpayDialect(engine, folder, base_url),
        ]
    except KeyFileUnusable as error:
        raise CannotStart(str(error)) from error
    except OSError as error:
        detail = error.strerror or str(error)
        raise CannotStart(_both("folder_unusable", folder=folder, detail=detail)) from error


def _both(key: str, **values: object) -> str:
    """Return a sentence in both languages: a terminal does not say which one its reader speaks."""
    return " / ".join(text.format(**values) for text in SENTENCES[key])
