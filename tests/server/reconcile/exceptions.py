"""What people do in the exceptions about money that a bill names, and what channels tell of refunds."""

from server.gateways.port import RefundFact
from server.payments.refunds.actions import RefundHeard


def exception(close, row):
    return close.site.get(f"/api/exceptions/{close.one(row)['exception_id']}", by="zhou").json()


def act(close, row, what, *, by, **body):
    said = {"version": exception(close, row)["version"]} | body
    answer = close.site.post(f"/api/exceptions/{close.one(row)['exception_id']}/{what}", by=by, json=said)
    assert answer.status_code == 200, answer.text


def told_of(close, refund, bought):
    """The channel tells of a refund that nobody here knows."""
    fact = RefundFact(
        refund["out_refund_no"], refund["refund_no"], bought.out_trade_no, refund["amount_fen"], "succeeded"
    )
    return RefundHeard("wechat", close.merchant("wechat"), fact)


def exceptions_of(close, kind):
    """The open exceptions of a kind."""
    listed = close.site.get("/api/exceptions", by="zhou", params={"open": "true"}).json()["items"]
    return [one for one in listed if one["kind"] == kind and one["state"] != "closed"]


def decide(close, one, number):
    """Two people record it, by this number."""
    path, said = f"/api/exceptions/{one['id']}", {"action": "record", "note": "后台退款", "provider_no": number}
    seen = close.site.post(f"{path}/propose", by="zhou", json=said | {"version": one["version"]}).json()
    body = {"approved": True, "note": "", "version": seen["version"]}
    answer = close.site.post(f"{path}/approve", by="wang", json=body)
    assert answer.status_code == 200, answer.text
