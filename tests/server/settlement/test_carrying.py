"""Instructions of payouts that people take away, to be carried to the bank or the channel."""

from shared import ids
from tests.server.settlement import paying
from tests.server.settlement.paying import agree, ask, pay, say, settled, step
from tests.server.settlement.test_netting import DAY, refund
from tests.world import ANNA


def test_who_takes_an_instruction_away_again_is_told_who_had_it(tmp_path):
    """First what pays, and once that arrived, what is to be given back of it. Its statement leads to the payout."""
    with paying.open_shop(tmp_path) as shop:
        agree(shop, **paying.SHARING)
        bought = shop.world.buy(ANNA, "STEAM-50")
        [made] = settled(shop, DAY)
        payout = step(shop, pay(shop, [made]), "check", by="wang", approve=True)
        here, its = f"payouts/{payout['id']}", f"statements/{made['id']}"

        def taken(by):
            twice = {"payouts": [payout["id"], payout["id"]]}  # and paid once
            [told] = say(shop, "payouts/instructions", twice, by=by)["items"]
            return [row["request_no"] for row in told["rows"]], told["taken_by"], told["taken_at"]

        wanted = {"payouts": [payout["id"]]}
        assert say(shop, "payouts/instructions", wanted, status=409)["code"] == "payout_not_sent"
        assert (made["payout"], ask(shop, here)["taken_by"]) == (None, None)
        payout = step(shop, payout, "send")
        assert say(shop, "payouts/instructions", {"payouts": [payout["id"], str(ids.new_id())]}, status=404)
        assert ask(shop, here)["taken_by"] is None, "all are noted, or none"
        assert ask(shop, its)["payout"] == {"id": payout["id"], "number": payout["number"], "state": "sent"}
        rows = [f"{payout['number']}-1", f"{payout['number']}-E1"]
        assert taken("zhou") == (rows, None, None)
        assert taken("wang") == (rows, "周洁", "2026-11-16T04:00:00Z")
        seen = ask(shop, here)
        assert (seen["taken_by"], seen["taken_at"]) == ("王敏", "2026-11-16T04:00:00Z")
        assert (ask(shop, here, by="chen")["taken_by"], ask(shop, its, by="chen")["payout"]) == ("shop", seen_as(seen))
        payout = step(shop, payout, "confirm")  # what was taken away is no other version of it
        assert ask(shop, its)["payout"] == seen_as(payout)
        refund(shop, bought, 1_000)
        back = f"{payout['number']}-R1.1"
        [(first, *_), *_] = given = [taken("zhou"), taken("zhou")]
        assert back in first
        assert [by for _, by, _ in given] == [None, "周洁"]


def seen_as(payout):
    """How a statement names its payout."""
    return {name: payout[name] for name in ("id", "number", "state")}
