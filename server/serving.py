"""Runs the app under uvicorn: takes the port, serves, and stops in order. Called by the command line and the demo.

On SIGTERM `/readyz` turns red at once; after KAMENG_DRAIN_SECONDS, in which a balancer looks elsewhere, no connection
is taken any more, running requests end, accepted commands are committed, and the process returns.
"""

from __future__ import annotations

import errno
import gc
import signal
import socket
import threading
from types import FrameType

import uvicorn

from server import app
from server.context import Context
from server.settings import Settings
from shared.errors import KamengError

GRACE_SECONDS = 20
"""How long running requests may take to end; a command waits at most this long in the batcher, too."""

BACKLOG = 2_048


class PortTaken(KamengError):
    """Another program listens there."""

    code = "port_taken"
    zh = "端口 {host}:{port} 已被其他程序占用。请关闭它，或用 KAMENG_PORT 换一个端口。"
    en = "Another program listens on {host}:{port}. Stop it, or choose another port with KAMENG_PORT."


class PortRefused(KamengError):
    """The system does not let us listen there."""

    code = "port_refused"
    zh = "无法监听 {host}:{port}（{reason}）。"
    en = "Cannot listen on {host}:{port} ({reason})."


class DidNotStart(KamengError):
    """The app failed while starting; the log says why."""

    code = "did_not_start"
    zh = "服务器没有启动成功，原因见上面的日志。"
    en = "The server did not start; the log above says why."


def take_port(settings: Settings) -> socket.socket:
    """The listening socket. Raises PortTaken or PortRefused, each a sentence."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host=settings.host, port=settings.port) from None
        raise PortRefused(host=settings.host, port=settings.port, reason=error.strerror or "?") from None
    # From here on connections wait instead of failing: the address may be printed before the app has started.
    listener.listen(BACKLOG)
    return listener


def serve(ctx: Context, listener: socket.socket, *, only_callbacks: bool = False, worker: bool = True) -> None:
    """Serve until told to stop. Raises DidNotStart. Runs in the main thread, which gets the signals."""
    settings = ctx.settings
    config = uvicorn.Config(
        app.build(settings, ctx=ctx, only_callbacks=only_callbacks, worker=worker),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    server = _Server(config, ctx)
    # uvicorn raises the signals it caught once more when it is done: the process would end with their status.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    _settle_garbage_collector()
    server.run(sockets=[listener])
    if not server.started:
        raise DidNotStart


def _settle_garbage_collector() -> None:
    """What is loaded now stays for good, and most of what requests make dies by itself: look at it less often.

    The default thresholds walk over the whole program every few hundred requests: a quarter of an import's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Server(uvicorn.Server):
    """Turns `/readyz` red before it stops taking connections."""

    def __init__(self, config: uvicorn.Config, ctx: Context) -> None:
        super().__init__(config)
        self._ctx = ctx

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one hurries."""
        drain = self._ctx.settings.drain_seconds
        if self._ctx.health.draining or not drain:
            self._ctx.health.draining = True
            super().handle_exit(sig, frame)
            return
        self._ctx.health.draining = True
        timer = threading.Timer(drain, super().handle_exit, (sig, None))
        timer.daemon = True
        timer.start()
