"""The console's side of the import bench: signs in and imports one file with the real engine, in a process of its own.

Prints as its last line the seconds from the start of the import until the file was read and judged, from there until
the server had stored it, and the peaks of this process and of the process that read the file.
"""

import sys

IMPORT_SECONDS = 900


def main() -> int:
    """Import one file."""
    # As in `desktop.__main__`: the process that reads the file starts with this module and must not pay for ours.
    import time
    from pathlib import Path

    from pydantic import SecretStr

    from desktop.credentials import MemoryVault
    from desktop.engine.engine import Engine
    from desktop.engine.events import Event, ImportRead
    from desktop.operations import imports, session
    from desktop.paths import Folders
    from tests.bench._figures import ChildrenPeak, finish, own_peak_mib, parser
    from tests.world import PASSWORD

    options = parser(__doc__)
    options.add_argument("--server", required=True)
    options.add_argument("--login", required=True)
    options.add_argument("--sku", required=True)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--file", type=Path, required=True)
    given = options.parse_args()
    read_at: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, ImportRead):
            read_at.append(time.perf_counter())

    engine = Engine(folders=Folders(given.home), vault=MemoryVault(), on_event=hear, follow=False)
    engine.start()
    try:
        engine.run(session.sign_in(engine, server=given.server, login=given.login, password=SecretStr(PASSWORD)))
        started = time.perf_counter()
        begun = engine.run(imports.start(engine, file=given.file, sku=given.sku))
        with ChildrenPeak() as reader:
            outcome = engine.run(imports.wait(engine, begun.id), timeout_seconds=IMPORT_SECONDS)
        ended = time.perf_counter()
    finally:
        engine.stop()
    return finish(
        {
            "stage": outcome.progress.stage.value,
            "stored": outcome.progress.stored,
            "read_seconds": round(read_at[0] - started, 3),
            "store_seconds": round(ended - read_at[0], 3),
            "seconds": round(ended - started, 3),
            "peak_mib": own_peak_mib(),
            "reader_peak_mib": reader.mib,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
