"""The sandbox's callbacks, and each fault that testers may order."""

import json

import httpx
import pytest


def test_the_callback_says_exactly_what_was_paid(merchant, receiver, number):
    pay_url = merchant.create(number, notify_url=receiver.url(f"/{number}"))
    merchant.pay(pay_url)
    callback = receiver.next(f"/{number}")
    paid = merchant.query(number)
    assert merchant.is_from_sandbox(callback.headers, callback.raw)
    assert not merchant.is_from_sandbox(callback.headers, callback.raw.replace(b"12880", b"12881"))
    assert callback.headers["content-type"] == "application/json"
    assert callback.content == {
        "event_id": callback.content["event_id"],
        "event": "payment.paid",
        "merchant_id": "shop-1",
        "out_trade_no": number,
        "trade_no": paid["trade_no"],
        "amount_fen": 12880,
        "currency": "CNY",
        "payer": callback.content["payer"],
        "paid_at": paid["paid_at"],
    }
    merchant.result_page(pay_url, until="商家已确认")
    assert receiver.waiting(f"/{number}") == 0


def test_only_success_is_an_acknowledgement(merchant, receiver, number):
    path = f"/{number}"
    receiver.answers[path] = [(500, b'{"code":"SUCCESS"}'), (200, b"success"), (200, b'{"code":"FAIL"}')]
    pay_url = merchant.create(number, notify_url=receiver.url(path))
    merchant.pay(pay_url)
    callbacks = [receiver.next(path) for _ in range(4)]
    assert len({callback.raw for callback in callbacks}) == 1
    assert len({callback.headers["sandbox-nonce"] for callback in callbacks}) == 4
    assert all(merchant.is_from_sandbox(callback.headers, callback.raw) for callback in callbacks)
    assert "已发送 4 次" in merchant.result_page(pay_url, until="商家已确认")
    assert receiver.waiting(path) == 0


def test_a_callback_refused_for_ever_is_given_up_and_can_be_sent_again(merchant, receiver, number):
    path = f"/{number}"
    receiver.always[path] = (503, b"")
    pay_url = merchant.create(number, notify_url=receiver.url(path))
    merchant.pay(pay_url)
    page = merchant.result_page(pay_url, until="已放弃")
    assert "已发送 4 次 · 最近结果 HTTP 503" in page
    refused = [receiver.next(path) for _ in range(4)]
    del receiver.always[path]
    assert merchant.submit(pay_url, "resend").status_code == 303
    assert receiver.next(path).raw == refused[0].raw
    merchant.result_page(pay_url, until="商家已确认")


def test_fault_duplicates_arrive_as_the_same_event(merchant, receiver, number):
    path = f"/{number}"
    merchant.pay(merchant.create(number, notify_url=receiver.url(path)), fault_copies=5)
    assert len({receiver.next(path).raw for _ in range(5)}) == 1


def test_fault_wrong_signature_must_not_verify(merchant, receiver, number):
    path = f"/{number}"
    pay_url = merchant.create(number, notify_url=receiver.url(path))
    merchant.pay(pay_url, fault_signature=1)
    forged = receiver.next(path)
    assert len(forged.headers["sandbox-signature"]) == 344  # the base64 of 256 bytes: well formed
    assert not merchant.is_from_sandbox(forged.headers, forged.raw)
    merchant.submit(pay_url, "resend")
    genuine = receiver.next(path)
    assert genuine.raw == forged.raw
    assert merchant.is_from_sandbox(genuine.headers, genuine.raw)


def test_fault_wrong_amount_is_signed_and_wrong(merchant, receiver, number):
    path = f"/{number}"
    merchant.pay(merchant.create(number, notify_url=receiver.url(path)), fault_amount_fen=1)
    callback = receiver.next(path)
    assert merchant.is_from_sandbox(callback.headers, callback.raw)
    assert callback.content["amount_fen"] == 1
    assert merchant.query(number)["amount_fen"] == 12880


def test_fault_dropped_and_delayed_callbacks_leave_only_the_query(merchant, receiver, number):
    faults = {"dropped": {"fault_drop": 1}, "delayed": {"fault_delay_seconds": "3600.5"}}
    pages = {}
    for name, fault in faults.items():
        pages[name] = merchant.create(f"{number}-{name}", notify_url=receiver.url(f"/{number}/{name}"))
        merchant.pay(pages[name], **fault)
        assert merchant.query(f"{number}-{name}")["state"] == "paid"
    merchant.pay(merchant.create(number, notify_url=receiver.url(f"/{number}")))
    receiver.next(f"/{number}")  # queued after the other two, and here
    assert receiver.waiting(f"/{number}/dropped") == receiver.waiting(f"/{number}/delayed") == 0
    assert "已丢弃" in merchant.result_page(pages["dropped"])
    assert "等待发送" in merchant.result_page(pages["delayed"])


def test_fault_settling_later_is_pending_until_then(merchant, receiver, number):
    path = f"/{number}"
    pay_url = merchant.create(number, notify_url=receiver.url(path))
    merchant.pay(pay_url, fault_settle_seconds="1.5")
    pending = merchant.query(number)
    assert (pending["state"], pending["trade_no"], pending["paid_at"]) == ("pending", None, None)
    assert "正在处理付款" in merchant.result_page(pay_url)
    callback = receiver.next(path)
    paid = merchant.query(number)
    assert (paid["state"], paid["paid_at"]) == ("paid", callback.content["paid_at"])


def test_fault_settling_later_can_still_be_closed_and_then_nobody_is_told(merchant, receiver, number):
    path = f"/{number}"
    pay_url = merchant.create(number, notify_url=receiver.url(path))
    merchant.pay(pay_url, fault_settle_seconds="3600", fault_copies=2)
    assert merchant.close(number).json() == {"state": "closed"}
    assert merchant.query(number)["state"] == "closed"
    page = merchant.result_page(pay_url)
    assert "订单已关闭" in page
    assert (page.count("已作废"), page.count("等待发送")) == (2, 0)
    merchant.submit(pay_url, "resend")
    assert receiver.waiting(path) == 0


def test_fault_late_answers_outlast_an_impatient_caller_but_do_the_work(merchant, number):
    pay_url = merchant.create(number)
    merchant.pay(pay_url, fault_answer_seconds=60)
    content = {"out_refund_no": f"R{number}", "out_trade_no": number, "amount_fen": 80, "reason": "超时"}
    body = json.dumps(content).encode()
    headers = merchant.headers("POST", "/v1/refunds", body)
    with pytest.raises(httpx.ReadTimeout):
        merchant.http.post(merchant.sandbox.url + "/v1/refunds", content=body, headers=headers, timeout=0.3)
    assert "¥0.80" in merchant.result_page(pay_url, until="已退款")
