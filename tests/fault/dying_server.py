"""`kameng-server` that kills itself with SIGKILL at a named moment: nothing is flushed, no handler runs.

Each moment is a place in the real code, wrapped from outside before the program starts; the program has no hook for it.
The processes are forked from one that has imported the program.
"""

import os
import signal
from functools import partial, wraps
from pathlib import Path

from server import batch, cli_keys, jobs, ringfile
from server.cli import main
from server.crypto import KeyRing
from server.gateways.sandbox import SandboxGateway
from server.orders.actions import PlaceOrder
from server.payments import actions, attempts, notices, revealing
from server.stock.actions import Desk
from server.stock.imports import ingest, intake
from server.stock.vault import rekey
from tests import forks


def start(arguments, *, environment, log, moment=None):
    """Run `kameng-server ARGUMENTS` in a new process, which dies at a moment, if one is named. It writes to `log`."""
    return forks.start(partial(_until, moment), arguments, environment=environment, out=log)


def _until(moment, arguments):
    """The program, told when to die."""
    if moment is not None:
        ALL_MOMENTS[moment]()
    return main(arguments)


def die(*_, **__):
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


def in_small_steps(owner_of_death):
    """The vault's commands do their work a lot, and a few cards, at a time."""

    def prepare():
        rekey.LOTS_PER_STEP, rekey.CARDS_PER_STEP = 1, 4
        owner_of_death()

    return prepare


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


# One after the other: each run goes on where the one before was killed.
ROTATE = {
    "a ring written, not in place": lambda: before(Path, "replace"),
    "a ring in place, its folder not synced": lambda: before(ringfile, "_sync_folder"),
    "a master made, not active": lambda: before(KeyRing, "activate_master"),
    "a master active, no lot wrapped": lambda: before(rekey, "rewrap"),
    "the second step wrapped, not committed": lambda: after(rekey, "rewrap", nth=2),
    "the next step committed, not told": lambda: after(cli_keys, "say", nth=2),
}
REENCRYPT = {
    "lots begun, not committed": lambda: after(rekey, "_note", nth=3),
    "lots begun, no card sealed": lambda: before(rekey, "reseal"),
    "a card opened": lambda: before(rekey, "_store"),
    "the third step stored, not committed": lambda: after(rekey, "_store", nth=3),
    "the next step committed, said nowhere": lambda: before(cli_keys, "say"),
    "a lot finished, not committed": lambda: after(rekey, "_note"),
}
SMALL_STEPS = "small steps, no death"

ALL_MOMENTS = MOMENTS | {SMALL_STEPS: in_small_steps(lambda: None)}
ALL_MOMENTS |= {name: in_small_steps(death) for name, death in (ROTATE | REENCRYPT).items()}
