"""`kameng VERB`: the console without a window, for scripts and for machines without a display.

    kameng login --server URL --user NAME [--password-file F]      kameng logout
    kameng product add|list|publish ...     kameng stock [--sku CODE]     kameng orders [--day D]
    kameng import FILE --sku CODE [--refused OUT.xlsx] [--json]
    kameng export reconciliation --date D --out FILE.xlsx           kameng doctor

Each verb does what the window does, through the same operations. Errors are one sentence on standard error; the exit
status is 0, 1 for a failure, 2 for bad input. Data goes to standard output, progress to standard error. Machines set
KAMENG_SERVER with KAMENG_TOKEN, or with KAMENG_USER and KAMENG_PASSWORD_FILE, instead of `kameng login`.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence

VERBS = frozenset({"login", "logout", "product", "stock", "import", "orders", "export", "verify", "doctor"})
FIRST = VERBS | {"-h", "--help", "--version"}
"""First arguments that are for the command line; anything else is for the window."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and answer the exit status. `--help` and unknown arguments end the program as argparse does.

    Without `argv` it is a program of its own (`kameng-cli` of the bundle), whose reader process starts here too.
    """
    multiprocessing.freeze_support()
    # Imported when a verb runs: the window looks at FIRST and must not wait for all of this.
    from shared.loading import loading

    with loading():
        from desktop.paths import narrow_umask
        from desktop.verbs.parser import run

    narrow_umask()
    return run(sys.argv[1:] if argv is None else argv)
