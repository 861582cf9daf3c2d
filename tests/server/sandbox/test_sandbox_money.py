"""Closing, racing and refunding at the payment sandbox: one winner, and never more than was paid."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.server.sandbox.peer import PATIENCE_SECONDS


def test_closing_is_final_and_repeatable(merchant, number):
    pay_url = merchant.create(number)
    assert [merchant.close(number).json() for _ in range(2)] == [{"state": "closed"}] * 2
    merchant.pay(pay_url)
    assert merchant.query(number)["state"] == "closed"
    assert "订单已关闭" in merchant.result_page(pay_url)


def test_what_is_paid_cannot_be_closed(merchant, number):
    merchant.pay(merchant.create(number))
    answer = merchant.close(number)
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_PAID")
    assert merchant.query(number)["state"] == "paid"


def test_paying_and_closing_at_once_has_one_winner(merchant, receiver, number):
    with ThreadPoolExecutor(8) as crowd:
        for attempt in range(10):
            path = f"/{number}/{attempt}"
            out_trade_no = f"{number}-{attempt}"
            pay_url = merchant.create(out_trade_no, notify_url=receiver.url(path))
            payers = [crowd.submit(merchant.pay, pay_url) for _ in range(4)]
            closers = [crowd.submit(merchant.close, out_trade_no) for _ in range(4)]
            closed = {closer.result().status_code for closer in closers}
            for payer in payers:
                payer.result()
            state = merchant.query(out_trade_no)["state"]
            assert (state, closed) in [("paid", {409}), ("closed", {200})]
            if state == "paid":
                assert receiver.next(path).content["out_trade_no"] == out_trade_no
                merchant.result_page(pay_url, until="商家已确认")
            assert receiver.waiting(path) == 0


def test_refunds_add_up_to_what_was_paid_and_no_further(merchant, number):
    pay_url = merchant.create(number)
    merchant.pay(pay_url)
    first = merchant.refund(f"R{number}-1", number, 10_000)
    assert first.json() == {
        "out_refund_no": f"R{number}-1",
        "refund_no": first.json()["refund_no"],
        "out_trade_no": number,
        "amount_fen": 10_000,
        "state": "succeeded",
    }
    assert merchant.refund(f"R{number}-1", number, 10_000).content == first.content
    assert merchant.call("GET", f"/v1/refunds/R{number}-1").content == first.content
    exceeding = merchant.refund(f"R{number}-2", number, 2_881)
    assert (exceeding.status_code, exceeding.json()["code"]) == (409, "AMOUNT_EXCEEDED")
    assert merchant.call("GET", f"/v1/refunds/R{number}-2").status_code == 404
    assert merchant.refund(f"R{number}-2", number, 2_880).status_code == 200
    assert merchant.refund(f"R{number}-3", number, 1).json()["code"] == "AMOUNT_EXCEEDED"
    assert "¥128.80" in merchant.result_page(pay_url, until="已退款")
    assert merchant.query(number)["state"] == "paid"


def test_a_refund_number_means_one_refund(merchant, number):
    for suffix in ("a", "b"):
        merchant.pay(merchant.create(f"{number}{suffix}"))
    assert merchant.refund(f"R{number}", f"{number}a", 100).status_code == 200
    for changed in (
        merchant.refund(f"R{number}", f"{number}a", 101),
        merchant.refund(f"R{number}", f"{number}b", 100),
        merchant.refund(f"R{number}", f"{number}a", 100, "别的理由"),
    ):
        assert (changed.status_code, changed.json()["code"]) == (409, "OUT_REFUND_NO_USED")


def test_concurrent_refunds_never_exceed_the_payment(merchant, number):
    merchant.pay(merchant.create(number, amount_fen=1000))
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda i: merchant.refund(f"R{number}-{i}", number, 300).status_code, range(8)))
    assert sorted(answers) == [200] * 3 + [409] * 5


def test_what_is_not_paid_cannot_be_refunded(merchant, number):
    merchant.create(number)
    assert merchant.refund(f"R{number}", number, 1).json()["code"] == "NOT_PAID"
    assert merchant.refund(f"R{number}", "KM-unknown", 1).json()["code"] == "NOT_FOUND"


def test_fault_refunds_take_their_time(merchant, number):
    merchant.pay(merchant.create(number), fault_refund_seconds="0.5")
    assert merchant.refund(f"R{number}", number, 80).json()["state"] == "processing"
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while merchant.call("GET", f"/v1/refunds/R{number}").json()["state"] != "succeeded":
        assert time.monotonic() < give_up_at
