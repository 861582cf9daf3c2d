"""Card files, from bytes on disk to sealed chunks: sniff, decode, read, judge, chunk, seal. No Qt, no network.

Callers use `plan` (what would happen), `run` (do it here) or `ImportProcess` (do it in a worker process). No clear
key is written anywhere, and with `SealTo` none leaves the process that read the file.
"""

from desktop.importing.chunk import Chunk
from desktop.importing.ledger import Counted, Ledger, Outcome, Problem
from desktop.importing.options import Columns, Options, SealTo
from desktop.importing.process import Failed, ImportProcess, Job
from desktop.importing.session import Again, ImportCancelled, Preview, PreviewLine, Progress, plan, run

__all__ = [
    "Again",
    "Chunk",
    "Columns",
    "Counted",
    "Failed",
    "ImportCancelled",
    "ImportProcess",
    "Job",
    "Ledger",
    "Options",
    "Outcome",
    "Preview",
    "PreviewLine",
    "Problem",
    "Progress",
    "SealTo",
    "plan",
    "run",
]
