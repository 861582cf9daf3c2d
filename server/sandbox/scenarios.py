"""Faults chosen by the amount: the last three digits, in fen, of a payment's amount. Off unless `--scenarios` is given.

For testers who can only choose what to buy. Other amounts are ordinary payments. Ordered as faults of the payment when
it is opened, so that they are seen and ended like any other.
"""

SCENARIOS: dict[int, tuple[str, str]] = {
    901: ("drop", "1"),
    902: ("delay_seconds", "30"),
    903: ("copies", "5"),
    904: ("signature", "1"),
    905: ("probe", "1"),
    906: ("amount_fen", "1"),
    907: ("currency", "USD"),
    908: ("settle_seconds", "30"),
    909: ("answer_seconds", "15"),
    910: ("coupon_fen", "100"),
    911: ("paid_in_close", "1"),
    912: ("refund_seconds", "30"),
    913: ("refund_outcome", "abnormal"),
    914: ("refund_outcome", "closed"),
    915: ("balance_low", "1"),
}
"""Name and value of a fault (`fault_facts.py`) by the last three digits."""


def scenario_of(amount_fen: int) -> tuple[str, str] | None:
    """Return the fault that an amount chooses."""
    return SCENARIOS.get(amount_fen % 1000)
