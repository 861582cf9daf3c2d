"""Sending sealed chunks to the server: resumable, two at a time, each with its digest.

Chunks travel while the file is still being read (`send_ahead`); after that an upload may be driven (`drive`) from any
state, by any program of this user, any number of times: announcing, sending and committing are all harmless to repeat,
and the server has the last word on what is missing. The commit proves the whole file by the hash over its chunks'.
Passing faults are waited out (full jitter, shorter when the network comes back); anything else ends the upload with
its reason. Chunks are deleted from this machine once the server said the import is done.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from desktop.engine.events import ImportProgressed, ImportStage
from desktop.engine.planner import STUBBORN_FAULT_REST_SECONDS, jitter
from desktop.engine.session import SignedSession
from desktop.engine.stores import Stores
from desktop.engine.transport import Call, Refused, code_of, is_foreign, is_passing, retry_after_seconds
from desktop.store.outbox import Upload, UploadState
from shared import clock
from shared.contracts.stock import CommitImport, Import, NewImport
from shared.errors import IllegalMove, KamengError, NotSignedIn, error_for
from shared.states import ImportState

SENDERS = 2
"""Two chunks travel at a time: one fills the line while the other waits for its answer."""
_SHORTEST_LOOK_SECONDS = 0.1
_LONGEST_LOOK_SECONDS = 2.0

T = TypeVar("T")


class ChunksLost(KamengError):
    """The outbox does not hold what the upload needs: it was damaged, or copied from another machine."""

    code = "chunks_lost"
    status = 409
    zh = "本机缺少“{file}”的部分加密数据，无法继续上传。请重新导入该文件；已入库的卡密不会重复。"
    en = "Part of the sealed data of “{file}” is missing here. Import the file again; nothing will be stored twice."


class ReadingInterrupted(KamengError):
    """The program ended while it was reading the file."""

    code = "reading_interrupted"
    status = 409
    zh = "读取“{file}”时程序中断，没有上传任何内容。请重新选择该文件。"
    en = "The program ended while reading “{file}”; nothing was sent. Choose the file again."


class CancelledElsewhere(KamengError):
    """The server gave the upload up: it was silent for too long, or somebody cancelled it from another machine."""

    code = "import.cancelled_elsewhere"
    status = 409
    zh = "“{file}”的上传已在服务器上取消：太久没有继续，或在别处取消了。没有入库任何卡密，请重新导入该文件。"
    en = (
        "The upload of “{file}” was cancelled at the server: it was silent for too long, or cancelled elsewhere. "
        "Nothing of it is stock; import the file again."
    )


class WaitedTooLong(KamengError):
    """The caller's patience ended before the server could be reached. The upload is kept."""

    code = "waited_too_long"
    status = 503
    zh = "网络或服务器暂时不可用，“{file}”尚未传完。进度已保存，再次运行同一命令即可继续。"
    en = "The server could not be reached in time; “{file}” is not finished. Run the same command again to go on."


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait: `patience_seconds` is the longest silence of the server to bear, None for ever.

    `chance` gives numbers from 0 to 1 for the jitter.
    """

    patience_seconds: float | None = None
    chance: Callable[[], float] = random.random


class Arrivals:
    """The numbers of chunks as a reader stores them, given out while it is not held. Ends when closed.

    All on the engine's loop.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[int | None] = asyncio.Queue()
        self._released = asyncio.Event()
        self._released.set()

    def hold(self) -> None:
        """Give out nothing more for now."""
        self._released.clear()

    def release(self) -> None:
        """Give out what is here, and what comes."""
        self._released.set()

    async def released(self) -> None:
        """Wait until it is not held."""
        await self._released.wait()

    def put(self, n: int) -> None:
        """Chunk `n` is in the outbox."""
        self._queue.put_nowait(n)

    def close(self) -> None:
        """No more will come."""
        self._queue.put_nowait(None)

    def __aiter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> int:
        n = await self._queue.get()
        if n is None:
            self._queue.put_nowait(None)  # for the other lane
            raise StopAsyncIteration
        await self.released()
        return n


class Uploads:
    """Drives uploads of one engine. Use from the engine's loop only.

    `tell` hears every step. `wake` is set by the engine whenever the network is back: waiting tries go at once.
    """

    def __init__(
        self,
        *,
        session: SignedSession,
        stores: Stores,
        tell: Callable[[ImportProgressed], None],
        pace: Pace,
    ) -> None:
        self._session = session
        self._stores = stores
        self._tell = tell
        self._pace = pace
        self._lanes = asyncio.Semaphore(SENDERS)
        self._waiting: set[asyncio.Event] = set()

    def wake(self) -> None:
        """The network is back, or a person wants it now: stop waiting."""
        for event in self._waiting:
            event.set()

    async def drive(self, upload_id: UUID) -> Upload:
        """Take an upload to its end and return it: DONE, FAILED or CANCELLED.

        Returns early, unfinished, when the session ended: it goes on after the next sign-in.
        Raises WaitedTooLong when patience ends, and errors of the local disk.
        """
        upload = await self._stores.outbox(lambda outbox: outbox.upload(upload_id))
        if upload.is_over:
            return upload
        assert upload.state is not UploadState.READING, "the file is read to its end first"
        try:
            return await self._take_to_end(upload)
        except NotSignedIn as error:
            self._tell(describe(upload, why=error))
            return await self._load(upload_id)
        except WaitedTooLong:
            raise
        except KamengError as error:
            if error.code.startswith(("disk_", "store_")):
                raise
            return await self.fail(upload, error)

    async def send_ahead(self, upload: Upload, arrived: Arrivals, tell: Callable[[KamengError], None]) -> None:
        """Announce an upload and send its chunks while its file is still being read, until no more will arrive.

        `tell` hears what the network is waited for. Returns early when the session ended or patience did: what was
        not sent is sent by `drive`. Raises what the server refuses, so that nobody reads on for nothing.
        """

        async def lane() -> None:
            async for n in arrived:
                await self._patiently(upload, partial(self._put, upload, n), tell)
                now = await self._sent(upload.id, n)
                if now.state is not UploadState.READING:
                    await self._report_sending(upload.id)

        try:
            await arrived.released()
            await self._patiently(upload, partial(self._announce, upload), tell)
            await self._in_lanes(lane)
        except (NotSignedIn, WaitedTooLong):
            return

    async def tell_cancelled(self, upload: Upload) -> bool:
        """Tell the server that an upload ended here; whether that is settled. What it had stored of it leaves stock.

        A commit that was faster than a cancellation stands: then the upload is not over any more.
        """
        try:
            await self._session.ask(Call("DELETE", f"/sync/v1/imports/{upload.id}"), Import)
        except KamengError as error:
            if isinstance(error, NotSignedIn) or is_passing(error) or is_foreign(error):
                return False  # later
            if code_of(error) == IllegalMove.code:
                await self._stores.outbox(lambda outbox: outbox.cancel_refused(upload.id))
            # Else it never heard of it: there is nothing left to tell.
        await self._stores.outbox(lambda outbox: outbox.cancel_told(upload.id))
        await self._report(upload.id)
        return True

    async def _take_to_end(self, upload: Upload) -> Upload:
        seen = await self._patiently(upload, lambda: self._announce(upload))
        if seen.state is ImportState.RECEIVING:
            await self._report_sending(upload.id)
        while seen.state is ImportState.RECEIVING:
            missing = _lacking(upload, seen)
            if missing:
                await self._send_missing(upload, missing)
                seen = await self._patiently(upload, lambda: self._look(upload))
            else:
                seen = await self._patiently(upload, lambda: self._commit_or_look(upload))
        return await self._follow(upload, seen)

    # --- the four calls ---------------------------------------------------------------------------------------

    async def _announce(self, upload: Upload) -> Import:
        await self._stores.outbox(lambda outbox: outbox.announce(upload.id))
        body = NewImport(id=upload.id, sku=upload.sku, file_name=upload.file_name[:120], key_id=upload.key_id)
        return await self._session.ask(Call("POST", "/sync/v1/imports", body=body), Import)

    async def _look(self, upload: Upload) -> Import:
        return await self._session.ask(Call("GET", f"/sync/v1/imports/{upload.id}"), Import)

    async def _commit(self, upload: Upload) -> Import:
        digests = await self._stores.outbox(lambda outbox: outbox.chunk_hashes(upload.id))
        if len(digests) != upload.chunks or not digests:
            # Somebody else finished it meanwhile, or the data is gone: the server knows which.
            seen = await self._look(upload)
            if seen.state is ImportState.RECEIVING:
                raise ChunksLost(file=upload.file_name)
            return seen
        body = CommitImport(
            figures=upload.figures,
            file_sha256=upload.file_sha256,
            chunks=upload.chunks,
            root_sha256=hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest(),
        )
        return await self._session.ask(Call("POST", f"/sync/v1/imports/{upload.id}/commit", body=body), Import)

    async def _commit_or_look(self, upload: Upload) -> Import:
        try:
            return await self._commit(upload)
        except KamengError as error:
            if code_of(error) != "import_incomplete":
                raise
            return await self._look(upload)  # it lost chunks since it told us: it says which

    async def _put(self, upload: Upload, n: int) -> None:
        chunk = await self._stores.outbox(lambda outbox: outbox.chunk(upload.id, n))
        if chunk is None:
            raise ChunksLost(file=upload.file_name)
        digest = base64.b64encode(bytes.fromhex(chunk.sha256)).decode()
        call = Call(
            "PUT",
            f"/sync/v1/imports/{upload.id}/chunks/{n}",
            body=chunk.sealed,
            headers={"Content-Digest": f"sha-256=:{digest}:"},
        )
        async with self._lanes:
            await self._session.tell(call)

    # --- sending ----------------------------------------------------------------------------------------------

    async def _send_missing(self, upload: Upload, missing: list[int]) -> None:
        await self._stores.outbox(lambda outbox: outbox.mark_missing(upload.id, missing))
        await self._report_sending(upload.id)
        waiting = iter(missing)

        async def lane() -> None:
            for n in waiting:  # both lanes draw from the same numbers
                await self._patiently(upload, partial(self._put, upload, n))
                await self._sent(upload.id, n)
                await self._report_sending(upload.id)

        await self._in_lanes(lane)

    async def _in_lanes(self, lane: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(SENDERS):
                    lanes.create_task(lane())
        except* KamengError as group:
            raise _first(group) from None

    async def _sent(self, upload_id: UUID, n: int) -> Upload:
        await self._stores.outbox(lambda outbox: outbox.mark_sent(upload_id, [n]))
        return await self._load(upload_id)

    async def _report_sending(self, upload_id: UUID) -> None:
        await self._stores.outbox(lambda outbox: outbox.move(upload_id, UploadState.UPLOADING))
        await self._report(upload_id)

    async def _follow(self, upload: Upload, seen: Import) -> Upload:
        """Wait for the server to store what it received, telling its figures."""
        since = clock.monotonic_seconds()
        await self._stores.outbox(lambda outbox: outbox.move(upload.id, UploadState.INGESTING))
        while seen.state is ImportState.INGESTING:
            await self._note(upload, seen)
            await self._rest(_look_again_seconds(upload, seen, clock.monotonic_seconds() - since))
            seen = await self._patiently(upload, lambda: self._look(upload))
        await self._note(upload, seen)
        if seen.state is ImportState.CANCELLED:
            return await self.fail(upload, CancelledElsewhere(file=upload.file_name))
        if seen.stored + seen.duplicates + seen.refused != upload.figures.valid:
            return await self.fail(upload, LedgersDisagree(file=upload.file_name, valid=upload.figures.valid))
        return await self._finish(upload, UploadState.DONE)

    # --- waiting ----------------------------------------------------------------------------------------------

    async def _patiently(
        self, upload: Upload, attempt: Callable[[], Awaitable[T]], tell: Callable[[KamengError], None] | None = None
    ) -> T:
        """Try until it works or is refused for good; between tries wait a random time that grows."""
        failures, since = 0, clock.monotonic_seconds()
        while True:
            try:
                return await attempt()
            except KamengError as error:
                if not (is_passing(error) or is_foreign(error)):
                    raise
                failures += 1
                patience = self._pace.patience_seconds
                if patience is not None and clock.monotonic_seconds() - since >= patience:
                    raise WaitedTooLong(file=upload.file_name) from error
                now = await self._load(upload.id)
                if tell is not None and now.state is UploadState.READING:
                    tell(error)
                else:
                    self._tell(describe(now, why=error))
                await self._rest(_rest_seconds(error, failures, self._pace.chance()))

    async def _rest(self, seconds: float) -> None:
        """Sleep, or less when somebody calls `wake`."""
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            await asyncio.wait_for(woken.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._waiting.discard(woken)

    # --- telling ----------------------------------------------------------------------------------------------

    async def _note(self, upload: Upload, seen: Import) -> None:
        await self._stores.outbox(
            lambda outbox: outbox.progress(
                upload.id, stored=seen.stored, duplicates=seen.duplicates, refused=seen.refused
            )
        )
        await self._report(upload.id)

    async def _finish(self, upload: Upload, to: UploadState) -> Upload:
        ended = await self._stores.outbox(lambda outbox: outbox.finish(upload.id, to))
        self._tell(describe(ended))
        return ended

    async def fail(self, upload: Upload, error: KamengError) -> Upload:
        """End an upload with the reason why."""
        if code_of(error) == "import_key_changed":
            await self._session.forget_import_key()
        reason = written_down(error)
        ended = await self._stores.outbox(lambda outbox: outbox.finish(upload.id, UploadState.FAILED, error=reason))
        self._tell(describe(ended, why=error))
        return ended

    async def _load(self, upload_id: UUID) -> Upload:
        return await self._stores.outbox(lambda outbox: outbox.upload(upload_id))

    async def _report(self, upload_id: UUID) -> None:
        self._tell(describe(await self._load(upload_id)))


class LedgersDisagree(KamengError):
    """The server's figures do not account for every valid row. A fault of a program, never hidden."""

    code = "ledgers_disagree"
    status = 500
    zh = "服务器的入库数字与文件“{file}”的 {valid} 行有效卡密对不上。请勿重复导入，并联系技术人员。"
    en = "The server's figures do not account for the {valid} valid rows of “{file}”. Do not import again; get help."


def _lacking(upload: Upload, seen: Import) -> list[int]:
    """The chunks that the server lacks: before the commit it knows only the numbers below the highest it has."""
    highest = seen.received + len(seen.missing)
    return [*seen.missing, *range(highest, upload.chunks)]


def _rest_seconds(error: KamengError, failures: int, chance: float) -> float:
    if is_foreign(error):
        return STUBBORN_FAULT_REST_SECONDS
    return max(jitter(failures, chance), retry_after_seconds(error))


def _look_again_seconds(upload: Upload, seen: Import, waited: float) -> float:
    """How long to rest before the next look: half of what the rest should take, by how fast it went so far.

    So that the end is seen soon after it comes, with few looks in between.
    """
    done = seen.stored + seen.duplicates + seen.refused
    left = waited * (upload.figures.valid - done) / done if done else 0.0
    return min(max(left / 2, _SHORTEST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS)


_STAGES = {state: ImportStage(state.value) for state in UploadState}


def describe(upload: Upload, *, why: KamengError | None = None) -> ImportProgressed:
    """The upload as the window and the command line see it. `why` overrides the stored reason."""
    if why is None and upload.error_code is not None:
        why = _remembered(upload.error_code, upload.error_params or "{}")
    return ImportProgressed(
        id=upload.id,
        fraction=_fraction(upload),
        sku=upload.sku,
        file_name=upload.file_name,
        stage=ImportStage.PAUSED if upload.paused and not upload.is_over else _STAGES[upload.state],
        figures=upload.figures,
        chunks=upload.chunks,
        chunks_sent=upload.chunks_sent,
        stored=upload.stored,
        duplicates_in_stock=upload.stock_duplicates,
        refused_by_server=upload.stock_refused,
        created_at=upload.created_at,
        finished_at=upload.finished_at,
        why=why,
        cancel_owed=upload.cancel_owed,
    )


def _fraction(upload: Upload) -> float:
    match upload.state:
        case UploadState.UPLOADING:
            return upload.chunks_sent / upload.chunks
        case UploadState.INGESTING:
            return (upload.stored + upload.stock_duplicates + upload.stock_refused) / upload.figures.valid
        case UploadState.DONE:
            return 1.0
    return 0.0


def written_down(error: KamengError) -> tuple[str, str]:
    """Code and parameters of an error, for a row of the outbox: the sentence is made when somebody reads it."""
    return code_of(error), json.dumps(error.params, default=str)


def _remembered(code: str, params: str) -> KamengError:
    """The error of an earlier moment or run."""
    known = error_for(code)
    return Refused(**{"detail": code, **json.loads(params)}) if known is None else known(**json.loads(params))


def _first(group: BaseExceptionGroup[KamengError]) -> KamengError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
