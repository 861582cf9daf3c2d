"""The real server over loopback, and a line to it that can be cut: what tests of the engine connect to.

`shop(folder)` is a world on SQLite behind uvicorn; `Line` is a TCP proxy in front of it. Nothing of ours is mocked.
"""

import selectors
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import uvicorn
from sqlalchemy import insert

from server import app
from server.jobs import JobSchedule
from shared import clock
from shared.errors import KamengError
from tests.world import World, world


class _Server(uvicorn.Server):
    """Tells when it listens: no test polls for a port."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self.port = 0

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        self.listening.set()


@dataclass
class Shop:
    """A running shop: its address and its world."""

    url: str
    world: World

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rsplit(":", 1)[1])


@contextmanager
def shop(folder, *, wrap=lambda asgi: asgi, **settings):
    """Serve a new world below `folder` until the block ends; its jobs run as they do in `serve`."""
    with world("sqlite", folder, **settings) as place:
        asgi = wrap(app.build(place.ctx.settings, ctx=place.ctx))
        config = uvicorn.Config(asgi, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
        server = _Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        _had_their_turn(place)
        place.ctx.jobs.start()
        thread.start()
        assert server.listening.wait(30)
        try:
            yield Shop(f"http://127.0.0.1:{server.port}", place)
        finally:
            server.should_exit = True
            thread.join(30)
            place.ctx.jobs.close()


def _had_their_turn(place: World) -> None:
    """The schedules of a shop that opened a moment ago: what comes once a minute or less often was just done."""
    now = clock.now()
    rare = [one for one in place.ctx.jobs._schedules if one.every >= timedelta(minutes=1)]
    with place.ctx.db.tx() as tx:
        rows = [{"name": one.name, "next_at": now + one.every, "steady_since": now} for one in rare]
        tx.execute(insert(JobSchedule), rows)


class Line:
    """A TCP proxy. `lose_answers = n`: the next n answers are swallowed and their connections cut, after the server
    acted. `cut()` closes the line until `mend()`; both take effect at once.
    """

    def __init__(self, port: int) -> None:
        self.lose_answers = 0
        self._target = port
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._port = 0
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=16)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections and break the open ones."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self.mend()
        return self

    def __exit__(self, *_):
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        try:
            with suppress(OSError), selectors.DefaultSelector() as both:
                both.register(client, selectors.EVENT_READ, server)
                both.register(server, selectors.EVENT_READ, client)
                self._copy(both, server)
        finally:
            with self._lock:
                self._pairs.discard(pair)
            client.close()
            server.close()

    def _copy(self, both: selectors.BaseSelector, server: socket.socket) -> None:
        while True:
            for key, _ in both.select():
                data = key.fileobj.recv(65_536)
                if not data:
                    return
                if key.fileobj is server:
                    with self._lock:
                        lost = self.lose_answers > 0
                        self.lose_answers -= lost
                    if lost:
                        return
                key.data.sendall(data)


def at_once(here):
    """An `Ask` of presenters that waits for a real engine."""

    def ask(work, then, otherwise) -> None:
        try:
            value = here.run(work(here.engine))
        except KamengError as error:
            otherwise(error)
        else:
            then(value)

    return ask
