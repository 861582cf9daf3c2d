"""Verifying a workbook of ours, off the loop: a million rows take some seconds."""

from __future__ import annotations

import asyncio
from pathlib import Path

from desktop.exporting import verify
from desktop.exporting.verify import Verdict


async def verify_workbook(path: Path) -> Verdict:
    """Whether the file is as it was written, or where it is not. Raises NotReadable and NotOurs."""
    return await asyncio.to_thread(verify.verify, path)
