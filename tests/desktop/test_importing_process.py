"""Guarantees of chunks and of the worker: sealed for one server and place, bounded, cancellable, never hanging."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from desktop.importing import (
    Chunk,
    Failed,
    ImportCancelled,
    ImportProcess,
    Job,
    Ledger,
    Options,
    Preview,
    Progress,
    SealTo,
    plan,
    process,
    run,
)
from desktop.importing.process import WorkerFailed
from desktop.importing.session import FileChanged
from desktop.importing.sniff import FileEncrypted
from shared.contracts.stock import CHUNK_BYTES, CHUNK_ROWS, FileFigures, chunk_info
from shared.errors import KamengError
from tests.desktop.files import Imported, large_workbook, ole, workbook

IMPORT = UUID("0190f2a0-0000-7000-8000-000000000001")
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@pytest.fixture
def server_key() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


def sealing(key: X25519PrivateKey) -> SealTo:
    return SealTo(public_key=key.public_key().public_bytes_raw(), import_id=IMPORT)


def keys_file(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text("".join(f"NUMBER{n:07}----SECRET{n:07}\n" for n in range(count)), encoding="utf-8")
    return path


def expected_rows(count: int) -> list[list[int | str]]:
    return [[n + 1, f"NUMBER{n:07}", f"SECRET{n:07}", 0] for n in range(count)]


def test_chunks_are_sealed_to_the_server_their_import_and_their_place(
    tmp_path: Path, server_key: X25519PrivateKey
) -> None:
    imported = Imported(keys_file(tmp_path, 12_345), seal_to=sealing(server_key))
    chunks = imported.chunks
    assert [(chunk.n, *chunk.held) for chunk in chunks] == [
        (0, CHUNK_ROWS, 1, 5_000),
        (1, CHUNK_ROWS, 5_001, 10_000),
        (2, 2_345, 10_001, 12_345),
    ]
    opened = [SUITE.decrypt(chunk.body, server_key, info=chunk_info(IMPORT, chunk.n)) for chunk in chunks]
    assert [row for body in opened for row in msgspec.msgpack.decode(body)[1]] == expected_rows(12_345)
    assert [msgspec.msgpack.decode(body)[0] for body in opened] == [[[None, None, 1]]] * 3
    for chunk in chunks:
        assert chunk.sha256 == hashlib.sha256(chunk.body).hexdigest()
        assert b"SECRET" not in chunk.body
    with pytest.raises(InvalidTag):
        SUITE.decrypt(chunks[0].body, server_key, info=chunk_info(IMPORT, 1))
    with pytest.raises(InvalidTag):
        SUITE.decrypt(chunks[0].body, X25519PrivateKey.generate(), info=chunk_info(IMPORT, 0))
    assert imported.ledger.chunks == 3
    assert imported.ledger.file_sha256 == hashlib.sha256((tmp_path / "keys.txt").read_bytes()).hexdigest()


def test_chunks_of_very_long_keys_stay_within_the_servers_limit(tmp_path: Path, server_key: X25519PrivateKey) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("".join(f"{n:04}{'钥' * 500}\n" for n in range(6_000)), encoding="utf-8")
    imported = Imported(path, seal_to=sealing(server_key))
    assert [chunk.n for chunk in imported.chunks] == list(range(len(imported.chunks)))
    assert max(len(chunk.body) for chunk in imported.chunks) <= CHUNK_BYTES
    assert sum(chunk.held.rows for chunk in imported.chunks) == imported.ledger.valid == 6_000


def test_the_figures_fit_the_contract(tmp_path: Path) -> None:
    path = keys_file(tmp_path, 3)
    path.write_text(path.read_text(encoding="utf-8") + "NUMBER0000000----SECRET0000000\n\n-\n", encoding="utf-8")
    ledger = run(path)
    figures = FileFigures(
        read=ledger.read,
        valid=ledger.valid,
        duplicates=ledger.duplicates,
        refused=ledger.refused,
        skipped=ledger.skipped,
    )
    assert (figures.read, figures.valid, figures.duplicates, figures.refused, figures.skipped) == (6, 3, 1, 1, 1)


def test_progress_reaches_the_end_and_never_goes_back(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(keys_file(tmp_path, 9_500), on_progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert seen[-1].read == seen[-1].valid == 9_500


def test_a_workbook_that_changes_while_it_is_opened_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "keys.xlsx", [("卡密",), ("AAAA1111",)])
    other = workbook(tmp_path / "other.xlsx", [("卡密",), ("BBBB2222",), ("BBBB3333",)])
    chunks: list[Chunk] = []

    def saved_by_excel(_: Progress) -> None:
        if other.exists():
            other.replace(path)

    with pytest.raises(FileChanged):
        run(path, on_chunk=chunks.append, on_progress=saved_by_excel)


def test_a_cancelled_run_stops_at_the_next_thousand_rows(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    chunks: list[Chunk] = []
    with pytest.raises(ImportCancelled):
        run(keys_file(tmp_path, 50_000), None, chunks.append, cancelled=lambda: next(asked))
    assert chunks == []


def outcome(job: Job, seen: Callable[[object], None] = lambda _: None) -> tuple[list[Chunk], object]:
    """The chunks and the last message of a job done in a worker process."""
    chunks: list[Chunk] = []
    last: object = None
    with ImportProcess(job) as worker:
        for message in worker.messages():
            seen(message)
            if isinstance(message, Chunk):
                chunks.append(message)
            last = message
        assert worker.receive(0) is None
    return chunks, last


def test_a_worker_gives_what_run_gives(tmp_path: Path, server_key: X25519PrivateKey) -> None:
    rows = [("卡号", "卡密"), *((f"{n:06}", f"SECRET{n:06}") for n in range(7_000)), ("000001", "SECRET000001")]
    path = large_workbook(tmp_path / "keys.xlsx", rows)
    chunks, last = outcome(Job(path=path, seal_to=sealing(server_key)))
    assert last == run(path)
    assert isinstance(last, Ledger)
    assert (last.read, last.valid, last.duplicates, last.skipped) == (7_002, 7_000, 1, 1)
    opened = [SUITE.decrypt(chunk.body, server_key, info=chunk_info(IMPORT, chunk.n)) for chunk in chunks]
    assert [row[2] for body in opened for row in msgspec.msgpack.decode(body)[1]] == [row[1] for row in rows[1:-1]]


def test_a_worker_gives_the_preview(tmp_path: Path) -> None:
    path = keys_file(tmp_path, 30)
    chunks, last = outcome(Job(path=path, options=Options(header_lines=0), only_preview=True))
    assert chunks == []
    assert isinstance(last, Preview)
    assert last == plan(path, Options(header_lines=0))


def test_a_refused_file_is_the_same_error_in_the_parent(tmp_path: Path) -> None:
    path = tmp_path / "secret.xlsx"
    path.write_bytes(ole("EncryptedPackage"))
    _, last = outcome(Job(path=path))
    assert isinstance(last, Failed)
    error = last.error()
    assert type(error) is FileEncrypted
    assert error.sentence() == "“secret.xlsx”设有打开密码。请在 Excel 中打开，另存为不带密码的 .xlsx 后再导入。"


def test_a_worker_stops_when_asked(tmp_path: Path) -> None:
    with ImportProcess(Job(path=keys_file(tmp_path, 300_000))) as worker:
        messages = worker.messages()
        next(messages)
        worker.cancel()
        last = [*messages][-1]
    assert isinstance(last, Failed)
    assert type(last.error()) is ImportCancelled


def test_a_worker_that_does_not_stop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CANCEL_SECONDS", 0.1)
    with ImportProcess(Job(path=keys_file(tmp_path, 300_000))) as worker:
        messages = worker.messages()
        next(messages)
        pid = worker._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        worker.cancel()
        last = [*messages][-1]
    assert isinstance(last, Failed)
    assert type(last.error()) is ImportCancelled
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_that_dies_becomes_a_sentence(tmp_path: Path) -> None:
    with ImportProcess(Job(path=keys_file(tmp_path, 300_000))) as worker:
        messages = worker.messages()
        next(messages)
        pid = worker._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        last = [*messages][-1]
    assert isinstance(last, Failed)
    error = last.error()
    assert type(error) is WorkerFailed
    assert error.sentence() == ("读取文件的进程意外结束（exit -9）。没有导入任何内容，请重试；再次发生请报告此问题。")


def test_an_unexpected_error_tells_its_place_but_not_its_text() -> None:
    def quote_a_cell() -> None:
        raise ValueError("SECRETKEY0001")

    with pytest.raises(ValueError, match="SECRETKEY0001") as error:
        quote_a_cell()
    said = process._place(error.value)
    assert said.startswith("ValueError test_importing_process.py:")
    assert "SECRETKEY" not in said


def test_a_full_sheet_worth_of_rows_passes_as_csv(tmp_path: Path) -> None:
    count = 1_048_576
    path = tmp_path / "keys.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{n:012},K{n * 7919:015}\r\n" for n in range(count - 2))
        file.write(f"{5:012},K{5 * 7919:015}\r\n")
        file.write("last,\r\n")
    rows: list[int] = []
    ledger = run(path, None, lambda chunk: rows.append(chunk.held.rows))
    assert (ledger.read, ledger.valid, ledger.duplicates, ledger.refused, ledger.skipped) == (
        count,
        count - 2,
        1,
        1,
        0,
    )
    assert [problem.sentence() for problem in ledger.problems] == [
        "第 1048575 行：与第 6 行重复。",
        "第 1048576 行：卡密为空。",
    ]
    assert rows == [5_000] * 209 + [3_574]


def test_every_error_of_an_import_survives_the_way_from_the_worker() -> None:
    codes = {kind.code: kind for kind in _tree(KamengError) if kind.code.startswith("import.")}
    assert len(codes) >= 18
    for code, kind in codes.items():
        error = Failed(code=code, params={"name": "a.xlsx"}).error()
        assert type(error) is kind
        assert error.sentence("zh") != error.sentence("en")


def _tree(kind: type[KamengError]) -> list[type[KamengError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]
