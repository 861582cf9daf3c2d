"""`kameng --smoke`: touch every part that a bundle could have lost, print one JSON line, and end. For CI, offscreen.

It opens both local files, imports what is imported late, runs the worker process on a real file, and paints a window
with each screen. It talks to no server and leaves nothing behind but the data folder it was given.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path

from desktop.app import Program, screens_of
from desktop.commands import PLACES
from desktop.engine.stores import Stores
from desktop.importing import ImportProcess, Job, Preview
from desktop.presenters.console import Desk
from desktop.presenters.pasted import Pasted
from shared import ids
from shared.contracts.identity import Person
from shared.permissions import ROLE_PERMISSIONS, Role

LATE = ("openpyxl", "python_calamine", "keyring", "msgspec", "httpx", "cryptography.hazmat.primitives.hpke")


def check(program: Program) -> int:
    """Do it all; 0 when every part is there. Any failure is an exception, which ends the program with a traceback."""
    for name in LATE:
        importlib.import_module(name)
    Stores(program.folders, rebuilt=lambda _aside: None).close()
    lines = _preview_lines()
    painted = _paint(program)
    titles = {_title_in(program, language) for language in ("en", "zh")}
    is_ok = lines == 3 and painted == len(PLACES) and len(titles) == 2
    report = {"ok": is_ok, "previewed_lines": lines, "painted": painted, "languages": len(titles)}
    sys.stdout.write(json.dumps(report) + "\n")
    return 0 if is_ok else 1


def _title_in(program: Program, language: str) -> str:
    """The window's title in a language: the catalogue is there."""
    program.choose_language(language)
    program.application.processEvents()
    return program.window.windowTitle()


def _preview_lines() -> int:
    """Read a small file in the worker process: what fails first in a frozen program."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "smoke.txt"
        file.write_text("A001----K3J9\nA002----7HHW\nA003----M4C1\n", "utf-8")
        with ImportProcess(Job(path=file, only_preview=True)) as worker:
            last = [*worker.messages()][-1]
    return len(last.lines) if isinstance(last, Preview) else 0


def _paint(program: Program) -> int:
    """Paint every screen for a person who may see them all; the presenters ask nobody."""
    person = Person(
        id=ids.new_id(),
        login="smoke",
        name="Smoke",
        role=Role.ADMIN,
        supplier_id=None,
        permissions=sorted(ROLE_PERMISSIONS[Role.ADMIN]),
    )
    desk = Desk(lambda _work, _then, _otherwise: None, person, Pasted(program.folders.home))
    program.window.welcome(person, screens_of(desk))
    painted = 0
    for place in PLACES:
        program.window.go(place.id)
        painted += not program.window.grab().isNull()
    program.window.farewell()
    return painted
