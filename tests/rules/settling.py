"""What the route matrix asks settlement for: statements, payouts and holds of the supplier "own", new for each call."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.policy import SYSTEM, Actor, Kind
from server.settlement import holds, payouts, statements, terms
from shared import clock, ids
from shared.contracts import settlement as wire
from shared.permissions import Role
from tests.world import ANNA

READ = "401 401 401 200 403 200 200 200"
OWN = "401 401 401 200 403 200 200 404"
MONEY = "401 401 401 200 403 200 403 403"
MADE = "401 401 401 201 403 201 403 403"

MATRIX = {
    "GET /api/settlement/terms": READ,
    "GET /api/settlement/terms/{supplier_id}": OWN,
    "PUT /api/settlement/terms/{supplier_id}": MONEY,
    "GET /api/settlement/fee-rules": MONEY,
    "POST /api/settlement/fee-rules": MADE,
    "GET /api/settlement/holidays": READ,
    "PUT /api/settlement/holidays/{day}": MONEY,
    "GET /api/settlement/due": READ,
    "GET /api/settlement/due/{supplier_id}": OWN,
    "GET /api/settlement/due/{supplier_id}/brought": OWN,
    "GET /api/settlement/statements": READ,
    "POST /api/settlement/statements": MADE,
    "GET /api/settlement/statements/{statement_id}": OWN,
    "GET /api/settlement/statements/{statement_id}/lines": OWN,
    "GET /api/settlement/statements/{statement_id}/brought": OWN,
    "POST /api/settlement/statements/{statement_id}/confirm": MONEY,
    "POST /api/settlement/statements/{statement_id}/drop": MONEY,
    "GET /api/settlement/payouts": READ,
    "POST /api/settlement/payouts": MADE,
    "POST /api/settlement/payouts/results": MONEY,
    "POST /api/settlement/payouts/instructions": MONEY,
    "GET /api/settlement/payouts/{payout_id}": OWN,
    "GET /api/settlement/payouts/{payout_id}/instruction": MONEY,
    "POST /api/settlement/payouts/{payout_id}/check": MONEY,
    "POST /api/settlement/payouts/{payout_id}/{verb}": MONEY,
    "GET /api/settlement/holds": "401 401 401 200 200 200 403 403",
    "POST /api/settlement/holds": "401 401 401 201 201 201 403 403",
    "DELETE /api/settlement/holds/{hold_id}": "401 401 401 200 200 200 403 403",
    "GET /api/settlement/accounts/{supplier_id}": OWN,
}

_TERMS = {"mode": "purchase", "cycle": "d0", "n": 0, "cutoff": "23:59:59.999999", "release_from": "delivered"}
_TERMS |= {"account": "6222-01"}


@dataclass
class Till:
    """The settlement of the supplier "own": the last statement, payout and hold, that addresses name."""

    site: Any
    statement: UUID | None = None
    payout: UUID | None = None
    hold: UUID | None = None

    @classmethod
    def opened(cls, site) -> "Till":
        """One with something of each to be named."""
        till = cls(site)
        till.sent()
        till.held()
        return till

    @property
    def supplier(self) -> UUID:
        return self.site.world.suppliers["xinghe"]

    def names(self) -> tuple[tuple[str, Any], ...]:
        """What the parts of an address stand for."""
        return (
            ("supplier_id", self.supplier),
            ("statement_id", self.statement),
            ("payout_id", self.payout),
            ("hold_id", self.hold),
            ("verb", "withdraw"),
        )

    def terms(self) -> dict[str, Any]:
        """Terms from the newest version, by which what is delivered is due at once."""
        with self.site.world.ctx.db.read() as tx:
            version = terms.histories(tx, [self.supplier])[self.supplier].version
        return {"json": _TERMS | {"reason": "合同", "version": version}}

    def draft(self) -> wire.MoveStatement:
        """A draft of one order that was just delivered; answers how it is moved."""
        world = self.site.world
        with world.ctx.db.tx() as tx:
            terms.change(tx, self.supplier, wire.EditTerms(**self.terms()["json"]), actor=SYSTEM)
        world.buy(ANNA, "STEAM-50")
        run = wire.MakeStatements(id=ids.new_id(), day=clock.shop_day(clock.now()), suppliers=[self.supplier])
        statements.make(world.ctx.db, run, actor=SYSTEM, complete_after_days=3)
        with world.ctx.db.read() as tx:
            [made] = statements.made(tx, run.id)
        self.statement = made.id
        return wire.MoveStatement(version=made.version)

    def confirmed(self) -> dict[str, Any]:
        """The wish to pay a statement that was just confirmed."""
        move = self.draft()
        with self.site.world.ctx.db.tx() as tx:
            statements.confirm(tx, self.statement, move, actor=SYSTEM, complete_after_days=3)
        return {"json": {"id": str(ids.new_id()), "statements": [str(self.statement)]}}

    def requested(self, **said) -> dict[str, Any]:
        """What is said of a payout that the system has just made."""
        wish = wire.NewPayout(**self.confirmed()["json"])
        with self.site.world.ctx.db.tx() as tx:
            made = payouts.make(tx, wish, actor=SYSTEM)
            self.payout = made.id
        return {"json": {"version": made.version} | said}

    def sent(self) -> dict[str, Any]:
        """A file of results with a payout that was just sent."""
        said = self.requested(approve=True)["json"]
        wang = Actor(Kind.STAFF, id=self.site.world.users["wang"], role=Role.ADMIN)
        with self.site.world.ctx.db.tx() as tx:
            made = payouts.check(tx, self.payout, wire.MovePayout(**said), actor=wang)
            made = payouts.send(tx, self.payout, wire.MovePayout(version=made.version), actor=wang)
            row = {"number": made.number, "amount_fen": made.amount_fen, "succeeded": True}
        file = {"file_name": "r.csv", "file_sha256": "0" * 64, "rows": [row]}
        return {"json": file | {"id": str(ids.new_id())}}

    def to_carry(self) -> dict[str, Any]:
        """The wish to take the instruction of a payout away that was just sent."""
        self.sent()
        return {"json": {"payouts": [str(self.payout)]}}

    def held(self) -> dict[str, Any]:
        """A hold of one order that stands; answers nothing, for the address is enough."""
        code = self.site.world.buy(ANNA, "STEAM-50").order.code
        wish = wire.NewHold(id=ids.new_id(), order_code=code, reason="核查")
        with self.site.world.ctx.db.tx() as tx:
            self.hold = holds.hold(tx, wish, actor=SYSTEM).id
        return {}


def _new(**facts) -> dict[str, Any]:
    return {"json": {"id": str(ids.new_id())} | facts}


REQUESTS = {
    "PUT /api/settlement/terms/{supplier_id}": lambda till: till.terms(),
    "POST /api/settlement/fee-rules": lambda _till: _new(tier="gold", kind="percent", ppm=10_000, reason="x"),
    "GET /api/settlement/holidays": lambda _till: {"params": {"year": 2026}},
    "PUT /api/settlement/holidays/{day}": lambda _till: {"json": {"works": False, "name": "休"}},
    "POST /api/settlement/statements": lambda _till: _new(day=clock.shop_day(clock.now()).isoformat()),
    "POST /api/settlement/statements/{statement_id}/confirm": lambda till: _json(till.draft()),
    "POST /api/settlement/statements/{statement_id}/drop": lambda till: _json(till.draft()),
    "POST /api/settlement/payouts": lambda till: till.confirmed(),
    "POST /api/settlement/payouts/results": lambda till: till.sent(),
    "POST /api/settlement/payouts/instructions": lambda till: till.to_carry(),
    "POST /api/settlement/payouts/{payout_id}/check": lambda till: till.requested(approve=True),
    "POST /api/settlement/payouts/{payout_id}/{verb}": lambda till: till.requested(),
    "POST /api/settlement/holds": lambda till: _new(supplier_id=str(till.supplier), reason="核查", until="2999-01-01"),
    "DELETE /api/settlement/holds/{hold_id}": lambda till: till.held(),
}


def _json(body) -> dict[str, Any]:
    return {"json": json.loads(body.model_dump_json())}
