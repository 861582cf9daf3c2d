"""The sample bills dropped in a shop that has sold what its list says: exactly the differences of `expected.json`.

The channels answer nothing while the bills are read, or what nobody told of would be delivered before people see it.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.gateways.port import PaymentFact, RefundFact
from server.orders.actions import PlaceOrder
from server.payments import checkout
from server.payments.actions import ApplyPayment
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund
from server.policy import SYSTEM
from shared import clock, ids
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku
from shared.finance import DifferenceKind as K
from shared.states import FoundBy, ProductState
from tests.server import refunding
from tests.server.reconcile import samples
from tests.server.reconcile.samples import DAY, MERCHANTS, Wanted
from tests.server.till import Till, site_with
from tests.world import ANNA

NOON = clock.day_bounds(DAY)[0] + timedelta(hours=12)
_ENDED = {"SUCCESS": "succeeded", "PROCESSING": "processing"}


class _Channel(Till):
    """A channel that takes on every refund, and ends it as it is told."""

    def __init__(self, channel):
        super().__init__(channel)
        self.merchant_id, self.refunds = MERCHANTS[channel], {}

    async def refund(self, asked):
        self._answer()
        return self.refunds[asked.out_refund_no]

    async def query_refund(self, out_refund_no, **_payment):
        self._answer()
        return self.refunds[out_refund_no]


@pytest.fixture
def site(tmp_path):
    """Refunds are checked by a second person, so that they have the sample's numbers before anything is booked."""
    with site_with(tmp_path, *map(_Channel, MERCHANTS), refund_check_fen=0) as built:
        yield built


def sku_of(fen):
    return f"FEN-{fen}"


def offer(shop, prices):
    """One product that is sold at these prices, and keys of each."""
    skus = [NewSku(code=sku_of(fen), name=f"{fen}", unit_price=fen * 100) for fen in prices]
    product = NewProduct(category="games", code="samples", name="样例", skus=skus)
    with shop.ctx.db.tx() as tx:
        product_id = catalog.create_product(tx, product, supplier_id=shop.suppliers["xinghe"], actor=SYSTEM)
        catalog.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
    with shop.ctx.db.read() as tx:
        shop.skus.update(catalog_queries.sale_terms(tx, [sku.code for sku in skus]))
    for sku in skus:
        shop.stock(sku.code, 2)


def numbered(shop, row, its, **number):
    """Give a row that was just made the sample's number."""
    with shop.ctx.db.tx() as tx:
        tx.execute(update(row).where(its).values(**number))


def sold(site, row):
    """An order as the shop has it; answers its code."""
    ctx, fen, at = site.world.ctx, row.amount_fen, row.at or NOON + timedelta(hours=11, minutes=59)
    with clock.fixed(at - timedelta(seconds=30)):
        order = PlaceOrder(ANNA, ids.new_token(), sku_of(fen), 1, fen, row.channel)
        code = asyncio.run(checkout.place(ctx, order)).code
    numbered(site.world, PaymentAttempt, PaymentAttempt.order_code == code, out_trade_no=row.number)
    if row.status == "PAID":
        with clock.fixed(at):
            fact = paid(row.channel, row.number, row.provider_no, fen)
            ctx.batch.call(ApplyPayment.of(ctx.gateways[row.channel], fact, FoundBy.CALLBACK))
    return code


def paid(channel, number, provider_no, fen):
    return PaymentFact(channel, number, provider_no, MERCHANTS[channel], fen, "CNY", "paid", clock.now(), None)


def given_back(site, row, code, payment):
    """A refund as the shop has it; the channel without numbers of refunds tells that of the payment."""
    with clock.fixed(row.at or NOON):
        order = site.get(f"/api/orders/{code}", by="li").json()
        body = {"reason": "客服补偿", "version": order["version"], "amount_fen": row.amount_fen}
        headers = {"idempotency-key": f"refund-{row.number}"}
        answer = site.post(f"/api/orders/{code}/refunds", by="li", json=body, headers=headers).json()
        numbered(site.world, Refund, Refund.out_refund_no == answer["out_refund_no"], out_refund_no=row.number)
        facts = (row.number, row.provider_no or payment.provider_no, payment.number, row.amount_fen, _ENDED[row.status])
        site.world.ctx.gateways[row.channel].refunds[row.number] = RefundFact(*facts)
        refunding.post(site, answer["id"], "check", "wang", approve=True)
        site.world.work()


def post(site, path, *, by="zhou", **given):
    answer = site.post(f"/api/reconcile/{path}", by=by, **given)
    assert answer.status_code == 200, answer.text
    site.world.work()
    return answer.json()


def drop(site, name):
    return post(site, "bills", params={"name": name}, content=(samples.FOLDER / name).read_bytes())


def test_the_four_files_list_exactly_what_is_expected(site):
    shop, rows = site.world, samples.ours()
    payments = {row.number: row for row in rows if row.kind == "payment"}
    with clock.fixed(NOON - timedelta(days=2)):
        offer(shop, sorted({row.amount_fen for row in payments.values()}))
    codes = {number: sold(site, row) for number, row in payments.items()}
    for row in rows:
        if row.kind == "refund":
            number = row.number[1:].rpartition("-")[0]
            given_back(site, row, codes[number], payments[number])
    tills = [shop.ctx.gateways[channel] for channel in MERCHANTS]
    for till in tills:
        till.silent = True
    with clock.fixed(NOON + timedelta(days=1)):
        names = (samples.WECHAT, samples.WECHAT_FUNDS, samples.ALIPAY, samples.ALIPAY_FUNDS)
        assert [drop(site, name)["rows"] for name in names] == [10, 20, 5, 10]
        found = site.get("/api/reconcile/differences", by="zhou", params={"day": str(DAY)}).json()["items"]
        assert sorted(map(_said, found)) == samples.wanted()
        numbers = {one["out_trade_no"]: one["provider_no"] for one in found}
        assert numbers | samples.PROVIDER_NOS == numbers
        _the_proposed_thing_is_possible(found)
        for till in tills:
            till.silent = False
        of_kind = {one["kind"]: one for one in found}
        _what_was_paid_is_delivered(site, of_kind[K.UNPAID_OURS])
        _what_was_on_its_way_goes_on(site, of_kind[K.REFUND_ONLY_OURS])


def _said(one):
    number = one["out_refund_no"] or one["out_trade_no"]
    both = one["ours_fen"], one["theirs_fen"]
    return Wanted(one["channel"], one["kind"], number, *both, one["proposed_action"], one["state"])


def _the_proposed_thing_is_possible(found):
    assert [one["actions"][:1] for one in found if one["state"] == "open"] == [
        [one["proposed_action"]] for one in found if one["state"] == "open"
    ]
    assert [one["actions"] for one in found if one["state"] == "matched"] == [[]]


def _what_was_paid_is_delivered(site, difference):
    """As it is proposed: the channel is asked, and then the keys go out, by two people."""
    facts = (difference["out_trade_no"], difference["provider_no"], difference["theirs_fen"])
    site.world.ctx.gateways["wechat"].payments[facts[0]] = paid("wechat", *facts)
    body = {"action": "deliver", "note": "已查单", "version": difference["version"]}
    asked = post(site, f"differences/{difference['id']}/handle", json=body)
    body = {"approve": True, "note": "", "version": asked["version"]}
    assert post(site, f"differences/{difference['id']}/check", by="wang", json=body)["state"] == "resolved"
    order = site.get(f"/api/orders/{difference['order_code']}", by="li").json()
    assert (order["state"], order["amount_fen"]) == ("delivered", 3_000)


def _what_was_on_its_way_goes_on(site, difference):
    """The channel ends the refund after its bill."""
    refunds = site.world.ctx.gateways["alipay"].refunds
    refunds[difference["out_refund_no"]] = replace(refunds[difference["out_refund_no"]], state="succeeded")
    refunding.later(site, hours=1)
    refunds = site.get("/api/refunds", by="zhou").json()["items"]
    assert [one["state"] for one in refunds] == ["succeeded"] * 3
