"""What the route matrix asks the ledger for: adjustments and disputes that stand, new for each call."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.payments.adjustments import actions as adjustments
from server.payments.disputes import actions as disputes
from server.policy import SYSTEM, Actor, Kind
from shared import ids
from shared.contracts import ledger as wire
from tests.world import ANNA

READ = "401 401 401 200 403 200 403 403"
MADE = "401 401 401 201 403 201 403 403"

MATRIX = {
    "GET /api/ledger/accounts": READ,
    "GET /api/ledger/accounts/{kind}/lines": READ,
    "GET /api/ledger/accounts/{kind}/days": READ,
    "GET /api/ledger/journals": READ,
    "GET /api/ledger/orders/{code}": READ,
    "GET /api/ledger/health": READ,
    "GET /api/ledger/adjustments": READ,
    "POST /api/ledger/adjustments": MADE,
    "GET /api/ledger/adjustments/{adjustment_id}": READ,
    "POST /api/ledger/adjustments/{adjustment_id}/check": READ,
    "POST /api/ledger/adjustments/{adjustment_id}/withdraw": READ,
    "GET /api/ledger/disputes": READ,
    "POST /api/ledger/disputes": MADE,
    "GET /api/ledger/disputes/{dispute_id}": READ,
    "POST /api/ledger/disputes/{dispute_id}/close": READ,
}


@dataclass
class Ledger:
    """The last adjustment and dispute, that addresses name."""

    site: Any
    adjustment: UUID | None = None
    dispute: UUID | None = None

    @classmethod
    def opened(cls, site) -> "Ledger":
        """One with something of each to be named."""
        ledger = cls(site)
        ledger.proposed()
        ledger.disputed()
        return ledger

    def names(self) -> tuple[tuple[str, Any], ...]:
        """What the parts of an address stand for."""
        return (("kind", "escrow"), ("adjustment_id", self.adjustment), ("dispute_id", self.dispute))

    def proposed(self, by: str | None = None) -> dict[str, Any]:
        """What is said of an adjustment that the system, or this person, has just proposed."""
        who = Actor(Kind.STAFF, id=self.site.world.users[by]) if by else SYSTEM
        with self.site.world.ctx.db.tx() as tx:
            row = adjustments.propose(tx, wire.NewAdjustment(**_adjustment()), order_id=None, actor=who)
            self.adjustment = row.id
        return {"json": {"version": row.version}}

    def disputed(self) -> dict[str, Any]:
        """What is said of a dispute that the system has just opened about a new order."""
        order = self.site.world.buy(ANNA, "STEAM-50").order
        with self.site.world.ctx.db.tx() as tx:
            row = disputes.open_dispute(tx, wire.OpenDispute(**_dispute(order.code)), order_id=order.id, actor=SYSTEM)
            self.dispute = row.id
        return {"json": {"won": True, "note": "x", "version": row.version}}


def _adjustment() -> dict[str, Any]:
    transfer = {"debit_kind": "loss", "credit_kind": "fee", "amount_fen": 1}
    return {"id": str(ids.new_id()), "transfers": [transfer], "reason": "x", "ticket": "T-1"}


def _dispute(code: str) -> dict[str, Any]:
    about = {"order_code": code, "amount_fen": 1, "reason": "x"}
    return {"id": str(ids.new_id()), "channel_no": ids.new_token(), **about}


REQUESTS = {
    "POST /api/ledger/adjustments": lambda _ledger, _by: {"json": _adjustment()},
    "POST /api/ledger/adjustments/{adjustment_id}/check": lambda ledger, _by: {
        "json": ledger.proposed()["json"] | {"approve": True}
    },
    "POST /api/ledger/adjustments/{adjustment_id}/withdraw": lambda ledger, by: ledger.proposed(by),
    "POST /api/ledger/disputes": lambda ledger, _by: {
        "json": _dispute(ledger.site.world.buy(ANNA, "STEAM-50").order.code)
    },
    "POST /api/ledger/disputes/{dispute_id}/close": lambda ledger, _by: ledger.disputed(),
}
