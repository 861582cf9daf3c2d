"""The engine: one thread, one event loop, everything the console does with the server and its local files.

The window and the command line make an `Engine`, `start()` it, hand it coroutines with `submit()` and hear its
events through one callback. It knows no Qt. Operations (`desktop.operations`) are the only callers of `session`,
`stores`, `drive`, `halt`, `announce` and `tell`, and only inside the engine's loop.

    engine = Engine(folders=locate(), vault=open_vault(locate()), on_event=bridge.post)
    engine.start()
    engine.submit(products.list_products(engine)).add_done_callback(...)
    engine.stop()
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from desktop.credentials import Vault
from desktop.engine.events import (
    ChangesArrived,
    Connection,
    ConnectionChanged,
    Event,
    ImportProgressed,
    LocalDataRebuilt,
    SignedIn,
    SignedOut,
)
from desktop.engine.follower import Follower
from desktop.engine.session import Account, SignedSession
from desktop.engine.stores import Stores
from desktop.engine.uploads import Arrivals, Pace, ReadingInterrupted, Uploads, describe, written_down
from desktop.importing.ledger import Ledger
from desktop.locks import Presence, is_running
from desktop.paths import Folders
from desktop.store.outbox import Upload, UploadState
from shared import clock, ids
from shared.errors import KamengError

log = logging.getLogger("kameng.engine")
_STOP_SECONDS = 10.0
_CLOCK_STEP_SECONDS = 60

T = TypeVar("T")
ReadOn = Callable[["Engine", Upload], Coroutine[Any, Any, bool]]


class Engine:
    """See the file's head. `start`, `stop`, `submit`, `run`, `hint` and the properties are safe from any thread."""

    # Made inside the loop, before `start` returns.
    session: SignedSession
    stores: Stores
    presence: Presence
    _uploads: Uploads
    _follower: Follower
    _stopping: asyncio.Event

    def __init__(
        self,
        *,
        folders: Folders,
        vault: Vault,
        on_event: Callable[[Event], None] = lambda _event: None,
        language: str = "zh",
        follow: bool = True,
        remember: bool = True,
        pace: Pace | None = None,
        read_on: ReadOn | None = None,
    ) -> None:
        """`follow`: stay connected, poll for changes and go on with unfinished uploads, as the window does.

        The command line does not. `remember` false: keep who signs in out of the vault and the settings. `read_on`
        goes on with a file whose reading was cut off; without it such an import ends, and the file is chosen again.
        """
        self.folders = folders
        self.language = language
        self._vault = vault
        self._on_event = on_event
        self._follow = follow
        self._remember = remember
        self._pace = pace or Pace()
        self._read_on = read_on
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: Future[None] = Future()
        self._connection = ConnectionChanged(Connection.SIGNED_OUT, None, clock.now())
        self.ledgers: dict[UUID, Ledger] = {}
        """Of the files read in this run; masked, and never stored."""
        self.ahead: dict[UUID, Arrivals] = {}
        """The chunks of files that are still being read, on their way out."""
        self.readings: dict[UUID, ImportProgressed] = {}
        """How far these files were read when it was told last; a pause does not take that back."""
        self._tasks: dict[UUID, asyncio.Task[Upload]] = {}
        self._background: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references

    # --- from any thread --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the local files and start the thread. Raises what the local files refuse (StoreTooNew, DiskFull ...).

        The person who was signed in last is signed in again before this returns, without waiting for the network.
        """
        assert self._thread is None, "an engine starts once"
        self._thread = threading.Thread(target=self._thread_main, name="kameng-engine", daemon=True)
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Stop: unfinished uploads stay in the outbox, open files are closed. Harmless when it is not running."""
        if self._thread is None or self._loop is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_SECONDS)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run an operation on the engine's thread. The future's callbacks run on that thread too."""
        if self._loop is None or not self._loop.is_running():
            work.close()
            raise RuntimeError("the engine is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], *, timeout_seconds: float | None = None) -> T:
        """Run an operation and wait for its answer: for the command line and tests, never on the window's thread."""
        future = self.submit(work)
        try:
            return future.result(timeout_seconds)
        except BaseException:
            future.cancel()
            raise

    def hint(self) -> None:
        """The network changed, the machine woke up, or a person wants it now: try at once."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stir)

    @property
    def connection(self) -> ConnectionChanged:
        """Where the console stands with the server now."""
        return self._connection

    @property
    def account(self) -> Account | None:
        """Who is signed in, or None."""
        session: SignedSession | None = getattr(self, "session", None)
        return None if session is None else session.account

    # --- for operations, inside the loop ----------------------------------------------------------------------

    def announce(self, *entities: str, initiator: str | None = None) -> None:
        """Tell every open list that rows of these entities changed."""
        self.tell(ChangesArrived(frozenset(entities), initiator))

    def tell(self, event: Event) -> None:
        """Send an event to the window."""
        try:
            self._on_event(event)
        except Exception:
            log.exception("a receiver of engine events failed")

    async def signed_in(self, account: Account) -> None:
        """After a sign-in: tell it, connect, and go on with the account's uploads."""
        self.tell(SignedIn(account.person, account.server, self.session.place))
        self._show(Connection.CONNECTING, None)
        self._follower.signed_in()
        if self._follow:
            await self.go_on(account)

    async def signed_out(self, why: KamengError | None) -> None:
        """After a sign-out, asked for or not: tell it and rest. Uploads stay in the outbox for the next sign-in."""
        if why is None:
            for upload_id in list(self._tasks):
                await self.halt(upload_id)
        self._follower.signed_out()
        self.tell(SignedOut(why))
        self._show(Connection.SIGNED_OUT, why)

    def drive(self, upload_id: UUID) -> asyncio.Task[Upload]:
        """Take an upload to its end in the background; the same task when it is worked on already."""
        return self._tasks.get(upload_id) or self.work_on(upload_id, self.send(upload_id))

    async def send(self, upload_id: UUID) -> Upload:
        """Take an upload to its end, as the one task that works on it (see `Uploads.drive`)."""
        owner = self.presence.name
        await self.stores.outbox(lambda outbox: outbox.take_over(upload_id, owner))
        upload = await self._uploads.drive(upload_id)
        if upload.is_over:
            self.announce("import", "lot", "stock", initiator="import.start")
        if upload.cancel_owed:
            await self.settle(upload_id)
        return upload

    async def send_ahead(self, upload: Upload, arrived: Arrivals, tell: Callable[[KamengError], None]) -> None:
        """Send what is read of a file while the rest is read (see `Uploads.send_ahead`)."""
        await self._uploads.send_ahead(upload, arrived, tell)

    async def give_up(self, upload: Upload, error: KamengError) -> Upload:
        """End an upload that the server refused before its file was read to the end."""
        ended = await self._uploads.fail(upload, error)
        await self.settle(upload.id)
        return ended

    async def settle(self, upload_id: UUID) -> None:
        """Tell the server that an upload ended here, if it is owed that; what cannot be told now is told later."""
        upload = await self.stores.outbox(lambda outbox: outbox.upload(upload_id))
        if upload.cancel_owed:
            await self._settle(upload)

    async def settle_all(self, account: Account) -> None:
        """Tell the server of every upload of the account that ended here without its knowing."""
        for upload in await self.stores.outbox(lambda outbox: outbox.owing_cancel(account=account.name)):
            if not await self._settle(upload):
                return

    async def _settle(self, upload: Upload) -> bool:
        is_settled = await self._uploads.tell_cancelled(upload)
        now = await self.stores.outbox(lambda outbox: outbox.upload(upload.id))
        if not now.is_over:
            self.drive(upload.id)  # the server had it all: what becomes of it is worth knowing
        return is_settled

    def work_on(self, upload_id: UUID, work: Coroutine[Any, Any, Upload]) -> asyncio.Task[Upload]:
        """Make `work` the one task of an upload, so that `halt` and the engine's end reach it."""
        assert upload_id not in self._tasks, "one task per upload"
        task = asyncio.create_task(work, name=f"upload-{upload_id}")
        self._tasks[upload_id] = task
        task.add_done_callback(lambda done: self._ended(upload_id, done))
        return task

    async def halt(self, upload_id: UUID) -> None:
        """Stop working on an upload now; what is on disk stays."""
        task = self._tasks.pop(upload_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def task(self, upload_id: UUID) -> asyncio.Task[Upload] | None:
        """What works on the upload here, or None."""
        return self._tasks.get(upload_id)

    def is_elsewhere(self, upload: Upload) -> bool:
        """Whether another running program of this user works on the upload."""
        return upload.owner != self.presence.name and is_running(self.folders.locks, upload.owner)

    async def go_on(self, account: Account) -> None:
        """Drive the account's unfinished uploads that nobody paused and no other program works on.

        A file whose reading was cut off by a crash is read on, if it still is what it was.
        """
        for upload in await self.stores.outbox(lambda outbox: outbox.uploads(account=account.name)):
            if upload.is_over or upload.id in self._tasks or self.is_elsewhere(upload):
                continue
            if upload.state is UploadState.READING:
                if self._read_on is None:
                    await self.end_interrupted(upload)
                else:
                    await self._read_on(self, upload)
            elif not upload.paused:
                self.drive(upload.id)

    async def end_interrupted(self, upload: Upload) -> None:
        """End an upload whose reader is gone: its chunks are incomplete and the file has to be chosen again."""
        error = ReadingInterrupted(file=upload.file_name)
        reason = written_down(error)
        ended = await self.stores.outbox(lambda outbox: outbox.finish(upload.id, UploadState.FAILED, error=reason))
        self.tell(describe(ended, why=error))
        await self.settle(upload.id)

    # --- the thread -------------------------------------------------------------------------------------------

    def _thread_main(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._opened.done():
                log.exception("the engine stopped")
                raise
            self._opened.set_exception(error)  # `start` raises it

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.stores = Stores(self.folders, rebuilt=self._rebuilt)
        self.presence = Presence(self.folders.locks, ids.new_id().hex)
        self.presence.enter()
        try:
            await self._open()
            self._opened.set_result(None)
            await self._work_until_stopped()
        finally:
            await self._close()

    async def _open(self) -> None:
        self.session = SignedSession(
            folders=self.folders,
            stores=self.stores,
            vault=self._vault,
            language=lambda: self.language,
            remember=self._remember,
            ended=self.signed_out,
        )
        self._uploads = Uploads(session=self.session, stores=self.stores, tell=self.tell, pace=self._pace)
        self._follower = Follower(
            session=self.session,
            stores=self.stores,
            show=self._show,
            changed=lambda entities: self.announce(*entities),
            greeted=self._greeted,
        )
        try:
            account = await self.session.restore()
        except KamengError as error:  # the keyring stays locked, the passphrase is wrong: sign in again
            await self.signed_out(error)
        else:
            if account is not None:
                await self.signed_in(account)

    async def _work_until_stopped(self) -> None:
        tasks: set[asyncio.Task[Any]] = {asyncio.create_task(self._stopping.wait())}
        if self._follow:
            tasks.add(asyncio.create_task(self._follower.run()))
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()

    async def _close(self) -> None:
        session: SignedSession | None = getattr(self, "session", None)
        if session is not None:
            await session.settle()
        current = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if session is not None:
            await session.close()
        self.stores.close()
        self.presence.leave()

    # --- what the parts report --------------------------------------------------------------------------------

    def _ended(self, upload_id: UUID, task: asyncio.Task[Upload]) -> None:
        if self._tasks.get(upload_id) is task:
            del self._tasks[upload_id]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, KamengError):
            log.error("upload %s stopped", upload_id, exc_info=error)

    def _stir(self) -> None:
        self._follower.stir()
        self._uploads.wake()
        if self.session.account is not None:
            self._in_background(self.settle_all(self.session.account))

    def _greeted(self) -> None:
        self._uploads.wake()
        account = self.session.account
        if account is not None:
            self._in_background(self.go_on(account))
            self._in_background(self.settle_all(account))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _show(self, state: Connection, why: KamengError | None) -> None:
        """Tell the connection when it differs from what was told last."""
        shown = self._connection
        server = None if self.account is None else self.account.server
        off = self.session.clock_off_seconds
        code = None if why is None else why.code
        told = (shown.state, shown.server, None if shown.why is None else shown.why.code)
        if told == (state, server, code) and abs(off - shown.clock_off_seconds) < _CLOCK_STEP_SECONDS:
            return
        since = shown.since if shown.state is state else clock.now()
        self._connection = ConnectionChanged(state, server, since, why, off)
        self.tell(self._connection)

    def _rebuilt(self, aside: Path) -> None:
        self.tell(LocalDataRebuilt(str(aside)))
