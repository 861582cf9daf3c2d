"""A shop with a channel that refunds as it is told, and what the tests of refunds ask it: money, units, steps."""

import hashlib
import json
import secrets
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from urllib.parse import quote

import anyio.from_thread
from sqlalchemy import select

from server import app
from server.gateways.port import RefundFact
from server.ledger import queries as ledger
from server.orders.model import OrderLine
from server.payments.callbacks import RawCallback
from server.payments.model import PaymentException
from server.payments.refunds import asking, following, queries
from server.payments.refunds.actions import RefundHeard
from server.stock.model import Delivery, StockUnit
from shared import clock
from shared.states import ExceptionKind, RefundReason, UnitState
from tests.server.channel import Channel
from tests.server.conftest import Site
from tests.server.shopping import Document
from tests.world import ANNA, MERCHANT, world


class RefundDesk:
    """The channel's side: `says` is what it answers to a refund, a state or a refusal in capitals; None is silence.

    `refuses` is the code that it answers questions with. `requests` are the refunds it was sent, in order; `made` those
    it took on, by our number.
    """

    def __init__(self):
        self.says, self.refuses = "processing", None
        self.requests = []
        self.made = {}
        self.asked = []

    def __call__(self, channel, request):
        if self.says is None:
            request.close_connection = True
            request.connection.close()
            return
        if request.command == "POST":
            status, answer = self._make(json.loads(request.rfile.read(int(request.headers["Content-Length"]))))
        else:
            number = request.path.rpartition("/")[2]
            self.asked.append(number)
            status, answer = (200, self.made[number]) if number in self.made else (404, {"code": "NOT_FOUND"})
            status, answer = (409, {"code": self.refuses}) if self.refuses else (status, answer)
        body = json.dumps(answer).encode()
        request.send_response(status)
        for name, value in channel.signed(body, at=int(clock.now().timestamp())).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _make(self, sent):
        self.requests.append(sent)
        number = sent["out_refund_no"]
        if self.says.isupper():
            return 409, {"code": self.says}
        if number not in self.made:
            self.made[number] = {
                "out_refund_no": number,
                "refund_no": f"R{number[-20:]}",
                "out_trade_no": sent["out_trade_no"],
                "amount_fen": sent["amount_fen"],
                "state": self.says,
            }
        return 200, self.made[number]

    def knows(self, fact):
        """A refund that somebody made in its own console."""
        self.made[quote(fact.out_refund_no)] = {name: said for name, said in asdict(fact).items() if said is not None}

    def ends(self, state="succeeded"):
        """Everything that it took on ends so, when it is asked."""
        for refund in self.made.values():
            refund["state"] = state


@contextmanager
def shop_with_refunds(folder, *, kind="sqlite", channels=("sandbox",), **settings):
    """A site whose channels refund; `site.desk` says how."""
    desk, channel = RefundDesk(), Channel()
    with (
        channel.serving(desk) as address,
        world(kind, folder, **settings) as shop,
        anyio.from_thread.start_blocking_portal() as portal,
    ):
        for name in channels:
            shop.ctx.gateways[name] = channel.gateway(address)
        site = Site(shop, app.build(shop.ctx.settings, ctx=shop.ctx), portal)
        site.desk = desk
        yield site


def policy(site, sku, wanted):
    """Sell a product by another refund policy from now on."""
    product = site.get(f"/api/products/{site.world.skus[sku].product_id}", by="li").json()
    rules = {"key_rule": product["key_rule"], "selling": product["selling"] | {"refund_policy": wanted}}
    body = rules | {"version": product["version"]}
    assert site.request("PUT", f"/api/products/{product['id']}/rules", by="li", json=body).status_code == 200


def look(site, bought, buyer=ANNA):
    """The buyer opens the order's page, and shows the keys that may go back unseen; answers what it shows then."""
    address, asked = f"/o/{bought.order.code}", {"buyer": buyer, "headers": {"accept": "text/html"}}
    page = site.get(address, **asked)
    if f"{address}/reveal" in Document(page.text).forms:
        assert site.post(f"{address}/reveal", **asked).status_code == 303
        page = site.get(address, **asked)
    assert page.status_code == 200
    return Document(page.text).keys


def ask(site, bought, reason="defective", **wish):
    """The buyer asks for money back; answers the refund's id."""
    order = site.world.order(bought)

    def wished(tx):
        made = asking.Wish(order_id=order.id, reason=RefundReason(reason), **wish)
        return asking.ask(tx, site.world.ctx.keys, made, actor=f"buyer:{order.buyer_id}").id

    with site.world.ctx.db.tx() as tx:
        return wished(tx)


def start(site, bought, by="li", *, key=None, version=None, **wish):
    """The shop gives money of an order back, knowing its newest version unless `version` is another one."""
    body = {"reason": "客服补偿", "version": version or site.world.order(bought).version} | wish
    headers = {"idempotency-key": key or secrets.token_urlsafe(16)}
    return site.post(f"/api/orders/{bought.order.code}/refunds", by=by, json=body, headers=headers)


def read(site, refund_id, by="wang"):
    """A refund as somebody of the staff reads it."""
    answer = site.get(f"/api/refunds/{refund_id}", by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(site, refund_id, verb, by, *, status=200, **body):
    """Say something to a refund, knowing its newest version unless `version` is another one."""
    version = body.pop("version", None) or read(site, refund_id)["version"]
    answer = site.post(f"/api/refunds/{refund_id}/{verb}", by=by, json=body | {"version": version})
    assert answer.status_code == status, answer.text
    return answer.json()


def carry_out(site):
    """Run the jobs, and ask about everything that is due."""
    site.world.work()
    following.follow(site.world.ctx)
    site.world.work()


def balances(site):
    """The net of every account that has moved, by kind and owner; suppliers by their short names."""
    names = {supplier.hex: name for name, supplier in site.world.suppliers.items()}
    with site.world.ctx.db.read() as tx:
        found = ledger.balances(tx)
    return {
        (one.account.kind, names.get(one.account.owner, one.account.owner)): one.net
        for one in found
        if one.debits or one.credits
    }


def story(site, bought):
    """The timeline of an order's refunds as its page shows it."""
    with site.world.ctx.db.read() as tx:
        return queries.timeline(tx, site.world.order(bought))


def units(site, bought):
    """The states of the units of an order's line by number, with those that have a delivery."""
    with site.world.ctx.db.read() as tx:
        line = tx.scalars(select(OrderLine).where(OrderLine.order_id == bought.order.id)).one()
        found = tx.execute(select(StockUnit.seq, StockUnit.state).where(StockUnit.order_line_id == line.id)).all()
        delivered = tx.scalars(select(Delivery.seq).where(Delivery.order_line_id == line.id)).all()
    return {seq: UnitState(state) for seq, state in sorted(found)}, sorted(delivered), sorted(line.seqs)


def approved(site):
    """A bought key with a refund that goes to its channel; nothing was sent yet."""
    policy(site, "STEAM-50", "before_view")
    site.world.stock("STEAM-50", 3)
    bought = site.world.buy(ANNA, "STEAM-50")
    return bought, ask(site, bought, "unwanted")


def later(site, **ago):
    """Carry on when so much time has passed."""
    with clock.fixed(clock.now() + timedelta(**ago)):
        carry_out(site)


def stuck(site):
    """What people are asked to look at: kind, refund, and whether it is still open."""
    with site.world.ctx.db.read() as tx:
        rows = tx.scalars(select(PaymentException).order_by(PaymentException.id)).all()
        return [(ExceptionKind(row.kind), row.refund_id, row.closed_at is None) for row in rows]


def tell(site, refund_id, state, *, raw=None, **other):
    """The channel says something of a refund; with `raw` in a notification."""
    refund = read(site, refund_id)
    attempt = site.desk.made.get(refund["out_refund_no"]) or {}
    fact = {
        "out_refund_no": refund["out_refund_no"],
        "refund_no": "R1",
        "out_trade_no": attempt.get("out_trade_no", ""),
        "amount_fen": refund["amount_fen"],
        "state": state,
    } | other
    kept = raw and RawCallback(hashlib.sha256(raw).hexdigest(), b"{}", raw)
    site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, RefundFact(**fact), kept or None))
