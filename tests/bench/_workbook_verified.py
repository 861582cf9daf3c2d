"""The other side of the bench `workbook`: the file is read again and verified, as at a console of others."""

import argparse
import sys
import time
from pathlib import Path

from desktop.exporting.verify import verify
from tests.bench import _figures


def main() -> int:
    """Verify and print what was found, and what it took."""
    options = argparse.ArgumentParser()
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--rows", type=int, required=True)
    given = options.parse_args()
    started, used = time.perf_counter(), time.process_time()
    verdict = verify(given.file)
    return _figures.finish(
        {
            "seconds": round(time.perf_counter() - started, 2),
            "cpu_seconds": round(time.process_time() - used, 2),
            "peak_mib": _figures.own_peak_mib(),
            "differing": abs(given.rows - verdict.rows) + sum(max(1, finding.count) for finding in verdict.findings),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
