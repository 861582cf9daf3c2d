"""`kameng-server` that kills itself with SIGKILL at a named moment: nothing is flushed, no handler runs.

    python -m tests.fault.dying_server MOMENT serve

Each moment is a place in the real code, wrapped from outside before the program starts; the program has no hook for it.
"""

import os
import signal
import sys
from functools import wraps

from server import batch, jobs
from server.cli import main
from server.gateways.sandbox import SandboxGateway
from server.orders.actions import PlaceOrder
from server.payments import actions, attempts, notices, revealing
from server.stock.actions import Desk
from server.stock.imports import ingest, intake


def die(*_):
    """What a power cut looks like to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner, name):
    """Die when `owner.name` is called."""
    setattr(owner, name, die)


def after(owner, name, *, nth=1):
    """Die when `owner.name` has returned something other than an empty list for the nth time."""
    real, calls = getattr(owner, name), []

    @wraps(real)
    def dying(*args, **options):
        result = real(*args, **options)
        if result != []:
            calls.append(1)
            if len(calls) == nth:
                die()
        return result

    setattr(owner, name, dying)


def after_awaiting(owner, name):
    """Die when the coroutine `owner.name` has its answer."""
    real = getattr(owner, name)

    @wraps(real)
    async def dying(*args, **options):
        await real(*args, **options)
        die()

    setattr(owner, name, dying)


def unanswered(command_type):
    """Die between the commit of a batch with such a command and its answers."""
    real = batch._resolve

    def dying(items):
        if any(isinstance(item.command, command_type) for item in items):
            die()
        real(items)

    batch._resolve = dying


MOMENTS = {
    # a buyer places,
    "units claimed, order not stored": lambda: after(Desk, "take"),
    "order claimed, not committed": lambda: after(attempts, "checkout"),
    "order committed, not answered": lambda: unanswered(PlaceOrder),
    "channel about to be asked": lambda: before(SandboxGateway, "create"),
    "channel answered, nobody knows": lambda: after_awaiting(SandboxGateway, "create"),
    "pay address stored, not answered": lambda: unanswered(attempts.OpenAttempt),
    # pays,
    "callback arrived": lambda: before(notices, "take"),
    "callback verified, not applied": lambda: before(actions, "apply"),
    "payment applied, not committed": lambda: after(actions, "apply"),
    "payment committed, not acknowledged": lambda: unanswered(actions.ApplyPayment),
    # and looks;
    "keys about to be shown": lambda: unanswered(revealing.LogReveal),
    # a supplier brings keys
    "chunk stored, not committed": lambda: after(intake, "receive"),
    "import accepted, not committed": lambda: after(intake, "commit"),
    "job claimed": lambda: after(jobs.Jobs, "_claim"),
    "step stored, not committed": lambda: after(ingest, "take_in"),
}


if __name__ == "__main__":
    MOMENTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
