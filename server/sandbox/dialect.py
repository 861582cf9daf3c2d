"""What a channel adds to the engine: its addresses, its numbers, how it tells and what it takes for an acknowledgement.

One dialect a channel: `own.py`, `wechat.py` and those beside them. `app.py` makes each with the `Engine`; the engine
and the notifier ask it only through this protocol. To add one: implement it, and name it in `app.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.records import Notification, Payment, Refund

# Waits before the second, third ... delivery: quick while somebody is looking, patient while a server is down.
RETRY_AFTER_SECONDS: tuple[float, ...] = (1, 2, 5, 15, 30, 60, 60, 120, 300, 600, 900, 1800, 1800, 3600, 3600)


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a merchant is told of. `claimed` is the payment as the notice states it: testers may let it lie.

    The notice's amount is `claimed.paid_fen`. Keys and addresses are those of the payment itself, never of the claim.
    """

    event_id: str
    at_ms: int
    claimed: Payment


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told, and where: made once for an event and kept; `Dialect.message` makes a request of it each time."""

    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of a notice: the exact request."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ListedMerchant:
    """A registered merchant, for the pages."""

    merchant_id: str
    name: str


class Dialect(Protocol):
    """One channel. A method that answers None says that this channel tells nothing of such an event."""

    @property
    def channel(self) -> str:
        """The channel's name in the store."""

    @property
    def label(self) -> tuple[str, str]:
        """What people call it, in Chinese and English."""

    @property
    def prefix(self) -> str:
        """What its addresses for merchants begin with, such as `/wechat/`."""

    @property
    def retry_after_seconds(self) -> Sequence[float]:
        """The waits between deliveries of a notification."""

    @property
    def answer_within_seconds(self) -> float:
        """How long a merchant may take to acknowledge."""

    def routes(self) -> list[Route]:
        """The addresses, those for merchants and those for buyers."""

    def lost(self, request: Request, status: int) -> Response:
        """The answer (404 or 405) to a request below the prefix that no route takes."""

    def merchants(self) -> list[ListedMerchant]:
        """Everybody who is registered."""

    def merchant_name(self, merchant_id: str) -> str:
        """The name buyers see."""

    def ready(self) -> dict[str, object]:
        """What the ready line says of it: paths of its public keys and of the folder for merchants' files."""

    def return_url(self, payment: Payment) -> str:
        """Where the buyer's page leads back to, now; empty when the merchant named nothing."""

    # Numbers

    def trade_no(self, payment: Payment, now_ms: int) -> str:
        """A new number of the channel for money that came."""

    def refund_no(self, payment: Payment, now_ms: int) -> str:
        """A new number of the channel for money that goes back."""

    def payer(self, payment: Payment, person: str) -> str:
        """The channel's name for the person who pays now: the same for the same one."""

    # Notifications

    def payment_notice(self, payment: Payment, told: Told) -> Notice | None:
        """What is told when money came."""

    def refund_notice(self, payment: Payment, refund: Refund, told: Told) -> Notice | None:
        """What is told when a refund came to its end, `refund.outcome`."""

    def message(self, notification: Notification) -> Message:
        """The request of one delivery, freshly signed the way `notification.signing` says."""

    def acknowledges(self, status: int, body: bytes) -> bool:
        """Whether this answer means that the merchant has the message."""
