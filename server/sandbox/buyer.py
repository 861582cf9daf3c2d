"""What a buyer, or a tester in their place, can do with a payment: the buttons of its page by their names."""

from collections.abc import Callable

from server.sandbox.engine import Engine
from server.sandbox.records import Payment


def _pay(engine: Engine, payment: Payment) -> None:
    engine.pay(payment)


def _pay_late(engine: Engine, payment: Payment) -> None:
    engine.pay(payment, late=True)


def _pay_again(engine: Engine, payment: Payment) -> None:
    engine.pay_again(payment)


def _resend(engine: Engine, payment: Payment) -> None:
    engine.resend(payment)


def _leave(_engine: Engine, _payment: Payment) -> None:
    """The buyer may come back: nothing changes."""


ACTIONS: dict[str, Callable[[Engine, Payment], None]] = {
    "pay": _pay,
    "late": _pay_late,
    "again": _pay_again,
    "resend": _resend,
    "cancel": _leave,
    "insufficient": _leave,
}
"""`late` pays what expired or was closed, `again` what is paid; `resend` tells the merchant once more, correctly."""
