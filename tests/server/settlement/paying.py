"""A shop whose suppliers are paid, and what its tests say to the settlement over HTTP."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from server.orders import actions as orders
from shared import clock, ids
from tests.server.refunding import shop_with_refunds

SOLD = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
"""A Monday noon of the shop."""

PURCHASE = {
    "mode": "purchase",
    "cycle": "d0",
    "n": 0,
    "cutoff": "17:00",
    "release_from": "delivered",
    "account": "6222-01",
}
SHARING = {"mode": "profit_sharing", "split_ppm": 10**6}
BASE = "/api/settlement"


@contextmanager
def open_shop(folder, *, stock=12):
    """A shop whose channel refunds at once, with keys in stock, at the time of the sale."""
    with clock.fixed(SOLD), shop_with_refunds(folder) as site:
        site.desk.says = "succeeded"
        site.world.stock("STEAM-50", stock)
        yield site


def ask(site, path, *, by="zhou", status=200, **query):
    """Read something."""
    answer = site.get(f"{BASE}/{path}", by=by, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def say(site, path, body, *, by="zhou", status=None, method="POST"):
    """Say something; `status` is what is expected, any success if None."""
    answer = site.request(method, f"{BASE}/{path}", by=by, json=body)
    assert answer.status_code == status if status else answer.is_success, answer.text
    return answer.json()


def agree(site, supplier="xinghe", *, by="zhou", status=None, version=0, **terms):
    """Agree terms with a supplier: D+0 from delivery, by purchase, unless said otherwise."""
    body = PURCHASE | {"reason": "合同 2026-1", "version": version} | terms
    return say(site, f"terms/{site.world.suppliers[supplier]}", body, method="PUT", by=by, status=status)


def complete(site):
    """Let the timers of delivered orders ring that have to."""
    with site.world.ctx.db.tx() as tx:
        return orders.complete_due(tx)


def make(site, day, *, suppliers=None, by="zhou", run=None, status=None):
    """Make statements of what is due; answers them."""
    body = {"id": str(run or ids.new_id()), "day": day}
    if suppliers is not None:
        body["suppliers"] = [str(site.world.suppliers[name]) for name in suppliers]
    made = say(site, "statements", body, by=by, status=status)
    return made["items"] if status is None else made


def move(site, statement, verb, *, by="zhou", status=None):
    """Confirm or drop a statement as it was last seen."""
    return say(site, f"statements/{statement['id']}/{verb}", {"version": statement["version"]}, by=by, status=status)


def settled(site, day, **wanted):
    """Make and confirm; answers the statements."""
    return [move(site, one, "confirm") for one in make(site, day, **wanted)]


def pay(site, statements, *, by="zhou", status=None, payout_id=None):
    """Make a payout of statements."""
    body = {"id": str(payout_id or ids.new_id()), "statements": [one["id"] for one in statements]}
    return say(site, "payouts", body, by=by, status=status)


def step(site, payout, verb, *, by="zhou", status=None, **said):
    """Move a payout as it was last seen."""
    return say(site, f"payouts/{payout['id']}/{verb}", {"version": payout["version"]} | said, by=by, status=status)


def results(site, body, *, by="zhou", status=None):
    """Give a file of results; answers what became of it, without what there was none of."""
    answer = say(site, "payouts/results", body, by=by, status=status)
    return answer if status else {name: count for name, count in answer.items() if count}


def paid(site, statements, **said):
    """Pay statements to the end; answers the payout."""
    payout = step(site, pay(site, statements), "check", by="wang", approve=True)
    return step(site, step(site, payout, "send"), "confirm", **said)


def due_of(site, supplier="xinghe", *, by="zhou", **query):
    """What is due to a supplier."""
    rows = {row["supplier_id"]: row for row in ask(site, "due", by=by, **query)["items"]}
    return rows[str(site.world.suppliers[supplier])]


def account_of(site, supplier="xinghe", *, by="zhou"):
    """What a supplier has."""
    return ask(site, f"accounts/{site.world.suppliers[supplier]}", by=by)


def brought(site, statement, *, by="zhou"):
    """The parts of what a statement brought forward; they add up to it."""
    found = ask(site, f"statements/{statement['id']}/brought", by=by)["items"]
    assert sum(one["amount_fen"] for one in found) == -statement["owed_fen"]
    return found


def brought_due(site, supplier="xinghe", *, by="zhou"):
    """The parts of what the statement would bring forward that could be made now."""
    found = ask(site, f"due/{site.world.suppliers[supplier]}/brought", by=by)["items"]
    assert sum(one["amount_fen"] for one in found) == -due_of(site, supplier, by=by)["owed_fen"]
    return found


def brought_by(found):
    """What the parts come from."""
    return [(one["kind"], one["amount_fen"], one["number"]) for one in found]


@contextmanager
def later(site, *, at=SOLD, **passed):
    """The clock held so much after the sale; who was signed in has been idle, and signs in anew."""
    site.tokens.clear()
    with clock.fixed(at + timedelta(**passed)):
        yield
    site.tokens.clear()
