"""`kameng` and `python -m desktop`: with a verb the command line, without one the window."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; returns the exit status."""
    # In a bundle the worker process starts here too: nothing may run before this line.
    multiprocessing.freeze_support()
    arguments = list(sys.argv[1:] if argv is None else argv)
    from desktop import cli
    from shared.loading import loading

    if arguments and arguments[0] in cli.FIRST:
        return cli.main(arguments)
    with loading():
        from desktop import app

    return app.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
