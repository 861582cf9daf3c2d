"""Whether a workbook that was exported is still as it was written."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desktop.engine.engine import Engine
from desktop.exporting.verify import Verdict, verify


async def verify_file(_engine: Engine, file: Path) -> Verdict:
    """Read a workbook of ours again, beside the loop. Raises FileMissing, NotReadable and NotOurs."""
    return await asyncio.to_thread(verify, file)
