"""Imports of card keys: preview, start, follow, pause, cancel; and the result with both ledgers.

The line of an import: a role without the right and an unknown SKU are refused before the file is opened; the file is
read, judged and sealed in a worker process; sealed chunks are stored in the outbox and travel, two at a time, while
the rest is read; when the file is read to its end the import is committed with its figures and the hash over all
chunks, and followed until the server has stored it. Clear text is never on this machine's disk. A crash loses nothing
that was read to its end: the next start goes on. What ends here without being committed is cancelled at the server
too, later if it cannot be reached now.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from desktop.engine.engine import Engine
from desktop.engine.events import ImportProgressed, ImportStage
from desktop.engine.uploads import describe, written_down
from desktop.exporting.refused import write_lines, write_refused
from desktop.exporting.target import check_target
from desktop.importing import Again, Failed, ImportCancelled, ImportProcess, Job, Ledger, Options, Preview, SealTo
from desktop.importing.process import WorkerFailed
from desktop.importing.sniff import FileMissing, FileNotReadable
from desktop.operations import goods
from desktop.operations.reading import Reading, Refusal, figures_of, stopped
from desktop.operations.seen import every_page
from desktop.store.outbox import Upload, UploadState
from shared import clock, ids
from shared.contracts.base import Page
from shared.contracts.stock import RefusedLine
from shared.errors import BadInput, Conflict, KamengError

_REFUSED: TypeAdapter[Page[RefusedLine]] = TypeAdapter(Page[RefusedLine])
_OPTIONS: TypeAdapter[Options] = TypeAdapter(Options)


class NothingToImport(BadInput):
    """The file was read and has no valid row."""

    code = "import.nothing_valid"
    zh = "“{file}”中没有可导入的卡密：{ledger}。"
    en = "There is nothing to import in “{file}”: {ledger}."


class ImportedBefore(Conflict):
    """The same bytes were imported for the same SKU before."""

    code = "import.imported_before"
    zh = "您在 {when} 导入过这个文件（“{file}”，到 {sku}，内容相同）。确要再次导入请明确选择；重复的卡密不会重复入库。"
    en = (
        "You imported this file on {when} (“{file}” into {sku}, the same content). Choose to import again if you "
        "mean it; no key is stored twice."
    )


class ImportRunning(Conflict):
    """The same file is being imported right now, here or in another program of this user."""

    code = "import.running"
    zh = "“{file}”正在导入到 {sku}，请等它完成。"
    en = "“{file}” is being imported into {sku} right now; wait until it is done."


class TooLateToCancel(Conflict):
    """The server has everything and stores it."""

    code = "import.too_late_to_cancel"
    zh = "“{file}”已全部上传，服务器正在入库，不能再取消。"
    en = "“{file}” was sent completely and is being stored; it cannot be cancelled any more."


@dataclass(frozen=True, slots=True)
class ImportStarted:
    """An import is under way. `resumed`: the same file was begun before and goes on where it stopped."""

    id: UUID
    resumed: bool


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """Where an import ended. `ledger` has the reasons of the file; None when an earlier run read it."""

    progress: ImportProgressed
    ledger: Ledger | None


async def preview(file: Path, options: Options | None = None) -> Preview:
    """What an import would do with the file: format, columns, first lines. Raises the BadInput about the file.

    Runs in a worker process; touches neither server nor outbox.
    """

    def look() -> Preview:
        with ImportProcess(Job(path=file, options=options or Options(), only_preview=True)) as worker:
            for message in worker.messages():
                if isinstance(message, Preview):
                    return message
                if isinstance(message, Failed):
                    raise message.error()
        raise WorkerFailed(detail="no answer")

    return await asyncio.to_thread(look)


async def start(
    engine: Engine, *, file: Path, sku: str, options: Options | None = None, again: bool = False, title: str = ""
) -> ImportStarted:
    """Begin an import, or go on with the unfinished one of the same file. Events tell progress, `wait` waits.

    `title` names the import where the file's name says nothing. Needs the server once per account, for its key;
    afterwards files can be read offline and travel later. Raises NotAllowed, SkuUnknown, FileMissing or
    FileNotReadable, ImportRunning, ImportedBefore unless `again`, and connection errors; nothing was read then.
    """
    account = engine.session.require_account()
    goods.require_importer(engine)
    wanted = goods.ruled(options or Options(), await goods.look_up(engine, sku))
    file, digest = await asyncio.to_thread(_identify, file)
    begun = await _begun_before(engine, file=file, digest=digest, sku=sku, again=again)
    if begun is not None:
        await engine.stores.outbox(lambda outbox: outbox.pause(begun.id, paused=False))
        if begun.state is not UploadState.READING:
            engine.drive(begun.id)
            return ImportStarted(id=begun.id, resumed=True)
        if await read_on(engine, begun, file=file):
            return ImportStarted(id=begun.id, resumed=True)
    key = await engine.session.import_key()
    upload_id = ids.new_id()
    owner = engine.presence.name
    upload = await engine.stores.outbox(
        lambda outbox: outbox.begin(
            upload_id=upload_id,
            account=account.name,
            sku=sku,
            file=file,
            file_name=title or file.name,
            file_sha256=digest,
            key_id=key.key_id,
            owner=owner,
            options=_OPTIONS.dump_json(wanted).decode(),
        )
    )
    seal_to = SealTo(public_key=base64.b64decode(key.public_key), import_id=upload_id)
    engine.tell(describe(upload))
    engine.work_on(upload_id, _read_and_send(engine, upload, Job(path=file, options=wanted, seal_to=seal_to)))
    return ImportStarted(id=upload_id, resumed=False)


async def read_on(engine: Engine, upload: Upload, *, file: Path | None = None) -> bool:
    """Go on with an import whose file was not read to its end when its program died; whether that is possible.

    The same bytes read the same way give the same chunks: those that are kept are neither read out nor sent again.
    Otherwise the import ends as interrupted, and its file has to be chosen again.
    """
    path, owner = file or Path(upload.file_path), engine.presence.name
    try:
        _, digest = await asyncio.to_thread(_identify, path)
        options = _OPTIONS.validate_json(upload.options or "")
        key = await engine.session.import_key()
    except (KamengError, ValidationError):
        digest = ""
    kept = await engine.stores.outbox(lambda outbox: outbox.held(upload.id))
    if digest != upload.file_sha256 or kept is None or key.key_id != upload.key_id:
        await engine.end_interrupted(upload)
        return False
    await engine.stores.outbox(lambda outbox: outbox.take_over(upload.id, owner))
    unsent = await engine.stores.outbox(lambda outbox: outbox.unsent(upload.id))
    seal_to = SealTo(public_key=base64.b64decode(key.public_key), import_id=upload.id)
    again = Again(today=clock.shop_day(upload.created_at), kept=tuple(kept))
    job = Job(path=path, options=options, seal_to=seal_to, again=again)
    engine.work_on(upload.id, _read_and_send(engine, upload, job, unsent))
    return True


async def unfinished(engine: Engine, file: Path, sku: str) -> Options | None:
    """How the unfinished import of the same bytes into the same SKU reads them; None where there is none to go on with.

    Raises FileMissing and FileNotReadable.
    """
    account = engine.session.require_account()
    _, digest = await asyncio.to_thread(_identify, file)
    earlier = await engine.stores.outbox(
        lambda outbox: outbox.uploads_of_file(account=account.name, file_sha256=digest, sku=sku)
    )
    begun = next((upload for upload in earlier if not upload.is_over and upload.options is not None), None)
    return None if begun is None else _OPTIONS.validate_json(begun.options or "")


async def wait(engine: Engine, upload_id: UUID) -> ImportOutcome:
    """Wait until nothing works on the import any more: it is over, paused, or nobody is signed in.

    Raises WaitedTooLong, the BadInput about its file, and errors of the local disk.
    """
    task = engine.task(upload_id)
    if task is not None:
        await asyncio.shield(task)
    upload = await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))
    return ImportOutcome(progress=describe(upload), ledger=engine.ledgers.get(upload_id))


async def list_imports(engine: Engine) -> list[ImportProgressed]:
    """The account's imports on this machine, newest first. Works offline."""
    account = engine.session.require_account()
    uploads = await engine.stores.outbox(lambda outbox: outbox.uploads(account=account.name))
    return [engine.readings.get(upload.id) or describe(upload) for upload in uploads]


async def pause(engine: Engine, upload_id: UUID) -> ImportProgressed:
    """Stop sending until `resume`, also over restarts. A file that is still being read is read on, and kept here."""
    # Written down first: a reading that ends at this moment looks there before it sends on.
    await engine.stores.outbox(lambda outbox: outbox.pause(upload_id, paused=True))
    if (arrived := engine.ahead.get(upload_id)) is not None:
        arrived.hold()
    if await _state(engine, upload_id) is not UploadState.READING:
        await engine.halt(upload_id)
    return await _tell(engine, upload_id)


async def resume(engine: Engine, upload_id: UUID) -> ImportProgressed:
    """Go on sending, also while the rest of the file is read."""
    await engine.stores.outbox(lambda outbox: outbox.pause(upload_id, paused=False))
    if (arrived := engine.ahead.get(upload_id)) is not None:
        arrived.release()
    if await _state(engine, upload_id) not in {UploadState.READING, *_OVER}:
        engine.drive(upload_id)
    return await _tell(engine, upload_id)


async def cancel(engine: Engine, upload_id: UUID) -> ImportProgressed:
    """Give an import up, delete its chunks here and have the server take out what it has of it.

    Without a connection the server is told later, and has the last word. Raises TooLateToCancel once the import is
    committed: it goes on then.
    """
    upload = await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))
    if upload.state is UploadState.INGESTING:
        raise TooLateToCancel(file=upload.file_name)
    await engine.halt(upload_id)
    await engine.stores.outbox(lambda outbox: outbox.finish(upload_id, UploadState.CANCELLED))
    await _tell(engine, upload_id)
    await engine.settle(upload_id)
    ended = await _tell(engine, upload_id)
    if ended.stage is not ImportStage.CANCELLED and not upload.is_over:
        raise TooLateToCancel(file=upload.file_name)
    return ended


async def refused_lines(engine: Engine, upload_id: UUID) -> list[RefusedLine]:
    """The lines of a finished import that the server did not store, in order of lines, with the reason."""
    return await every_page(engine, f"/sync/v1/imports/{upload_id}/refused", _REFUSED, {})


@dataclass(frozen=True, slots=True)
class Exported:
    """The lines left out were written down. `whole`: with the original cells; else the file is gone or changed."""

    path: Path
    rows: int
    whole: bool


async def export_refused(engine: Engine, upload_id: UUID, target: Path, *, language: str = "zh") -> Exported:
    """Write every line of an import that is not stock, the server's included, with its reason into a workbook.

    The file is read again for it, as it was read for the import. When it is gone or has changed, what this run of the
    console knows of the lines is written without their cells. Raises what `check_target` does, also when the target is
    the file itself, TargetBusy and TargetUnwritable.
    """
    upload = await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))
    target = await asyncio.to_thread(check_target, target, sources=[Path(upload.file_path)])
    refused = upload.stock_duplicates + upload.stock_refused
    told = {line.line: line.result for line in await refused_lines(engine, upload_id)} if refused else {}
    options = _OPTIONS.validate_json(upload.options) if upload.options is not None else Options()
    today = clock.shop_day(upload.created_at)
    try:
        file, digest = await asyncio.to_thread(_identify, Path(upload.file_path))
    except BadInput:
        digest = ""
    if digest == upload.file_sha256:
        write = partial(write_refused, file, options, target, language=language, server_lines=told, today=today)
        return Exported(target, await asyncio.to_thread(write), whole=True)
    ledger = engine.ledgers.get(upload_id)
    known = () if ledger is None else ledger.problems
    rows = await asyncio.to_thread(partial(write_lines, known, told, target, language=language))
    return Exported(target, rows, whole=False)


_OVER = frozenset({UploadState.DONE, UploadState.FAILED, UploadState.CANCELLED})


async def _begun_before(engine: Engine, *, file: Path, digest: str, sku: str, again: bool) -> Upload | None:
    """The unfinished import of the same bytes to go on with, or None to begin a new one."""
    account = engine.session.require_account()
    earlier = await engine.stores.outbox(
        lambda outbox: outbox.uploads_of_file(account=account.name, file_sha256=digest, sku=sku)
    )
    for upload in earlier:
        if upload.is_over:
            continue
        if engine.is_elsewhere(upload) or (upload.state is UploadState.READING and engine.task(upload.id)):
            raise ImportRunning(file=file.name, sku=sku)
        return upload
    done = next((upload for upload in earlier if upload.state is UploadState.DONE), None)
    if done is not None and not again:
        raise ImportedBefore(file=file.name, sku=sku, when=_when(done.finished_at or done.created_at))
    return None


async def _read_and_send(engine: Engine, upload: Upload, job: Job, unsent: Sequence[int] = ()) -> Upload:
    """The whole life of an import as one task. `unsent` chunks are here from an earlier reading."""
    is_paused = await _is_paused(engine, upload.id)
    reading = Reading(engine, upload, job, held=is_paused)
    for n in unsent:
        reading.arrived.put(n)
    if is_paused:
        reading.arrived.hold()  # it is read on, and kept here
    engine.ahead[upload.id] = reading.arrived
    sending = asyncio.create_task(engine.send_ahead(upload, reading.arrived, reading.waits_for))
    try:
        ledger = await reading.finish(sending)
        if ledger.valid == 0:
            raise NothingToImport(file=upload.file_name, ledger=ledger.sentence(engine.language))
        ready = await engine.stores.outbox(lambda outbox: outbox.complete(upload.id, figures_of(ledger)))
        engine.tell(describe(ready))
        if await _is_paused(engine, upload.id):
            await stopped(sending)
        else:
            await asyncio.wait({sending})  # a refusal it met is met again, and written down, by `send`
        if await _is_paused(engine, upload.id):  # asked once more: who resumed it meanwhile left it to this task
            return ready
        return await engine.send(upload.id)
    except Refusal as refusal:
        return await engine.give_up(upload, refusal.error)
    except KamengError as error:
        if (await engine.stores.outbox(lambda outbox: outbox.upload(upload.id))).state is not UploadState.READING:
            raise  # it was read: what stopped it is not about the file
        to = UploadState.CANCELLED if isinstance(error, ImportCancelled) else UploadState.FAILED
        reason = written_down(error)
        ended = await engine.stores.outbox(lambda outbox: outbox.finish(upload.id, to, error=reason))
        engine.tell(describe(ended, why=error))
        await stopped(sending)
        await engine.settle(upload.id)
        raise
    finally:
        engine.ahead.pop(upload.id, None)
        await stopped(sending)


async def _is_paused(engine: Engine, upload_id: UUID) -> bool:
    return (await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))).paused


async def _state(engine: Engine, upload_id: UUID) -> UploadState:
    return (await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))).state


async def _tell(engine: Engine, upload_id: UUID) -> ImportProgressed:
    upload = await engine.stores.outbox(lambda outbox: outbox.upload(upload_id))
    progress, read = describe(upload), engine.readings.get(upload_id)
    if read is not None and upload.state is UploadState.READING:
        progress = engine.readings[upload_id] = replace(read, held=upload.paused)
    engine.tell(progress)
    return progress


def _identify(file: Path) -> tuple[Path, str]:
    """Where the file is, and the SHA-256 of its bytes."""
    try:
        with file.open("rb") as opened:
            return file.absolute(), hashlib.file_digest(opened, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissing(name=file.name) from None
    except OSError:
        raise FileNotReadable(name=file.name) from None


def _when(instant: datetime) -> str:
    return f"{clock.shop_time(instant):%Y-%m-%d %H:%M}"
