"""`python -m server` and the `kameng-server` command."""

from __future__ import annotations

import sys

from shared.loading import loading


def main() -> int:
    """Run what the arguments ask for; returns the exit status."""
    with loading():
        from server import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
