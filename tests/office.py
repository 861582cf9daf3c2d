"""The distribution's own LibreOffice, without a screen: it opens what the console wrote, computes it and saves it anew.

Starting it takes seconds, so a module converts all its files at once.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.absence import absent

SECONDS = 240


def saved_again(files: Iterable[Path], folder: Path, *, filter_name: str = "xlsx:Calc MS Excel 2007 XML") -> list[Path]:
    """Let LibreOffice open the files and save each in `folder` under its name. Skips without one, fails in CI."""
    program = shutil.which("soffice")
    if program is None:
        absent("LibreOffice is not installed (Debian: apt-get install libreoffice-calc-nogui)")
    files = list(files)
    out = folder / "saved"
    done = subprocess.run(
        [
            program,
            "--headless",
            "--norestore",
            # A profile of its own: one that is open elsewhere would take the files and say nothing.
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--convert-to",
            filter_name,
            "--outdir",
            str(out),
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    ending = filter_name.partition(":")[0]
    made = [out / f"{file.stem}.{ending}" for file in files]
    assert all(file.is_file() for file in made), done.stdout + done.stderr
    return made
