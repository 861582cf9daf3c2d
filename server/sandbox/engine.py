"""What happens to money, the same for every channel: paid, paid late, paid twice, closed, refunded; who is told of it.

Each public method is one transaction: what happened and the notifications about it are kept together or not at all.
The faults of a payment take effect here (`faults.py`), the words of a channel come from its `Dialect`. Called on the
event loop by dialects and pages.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace

from server.sandbox.database import Database
from server.sandbox.dialect import Dialect, Notice, Told
from server.sandbox.fault_facts import MOST_COPIES
from server.sandbox.faults import About, Faults, Order
from server.sandbox.mailbox import Mailbox
from server.sandbox.moments import now_ms
from server.sandbox.records import (
    Acceptance,
    BalanceTooLow,
    NewNotification,
    NewPayment,
    NewRefund,
    Payment,
    Refund,
    Signing,
)
from server.sandbox.scenarios import scenario_of
from server.sandbox.store import Store

_MOST_MESSAGES_OF_A_PAYMENT = 10 * MOST_COPIES


class Engine:
    """The store, the mailbox and the faults, and what moves between them."""

    def __init__(self, database: Database, *, has_scenarios: bool = False) -> None:
        """Start without a channel; `app.py` adds the dialects, and the notifier whom to wake.

        With scenarios, amounts choose faults (`scenarios.py`).
        """
        self.has_scenarios = has_scenarios
        self.database = database
        self.store = Store(database)
        self.mailbox = Mailbox(database)
        self.faults = Faults(database)
        self.dialects: dict[str, Dialect] = {}
        self.wake: Callable[[], None] = lambda: None

    def clock_ms(self, about: About) -> int:
        """Return the time by the sandbox's clock, which testers may have set wrong."""
        return now_ms() + self.faults.milliseconds("clock_seconds", about)

    # Payments

    def open(self, asked: NewPayment) -> Payment:
        """Open a payment, or return the one of the same number. Raises NumberUsed when its content differs."""
        with self.database.transaction():
            payment = self.store.create_payment(asked, token=secrets.token_urlsafe(24), now_ms=now_ms())
            if payment.created_at_ms == payment.opened_at_ms and self.has_scenarios:
                scenario = scenario_of(payment.amount_fen)
                if scenario is not None:
                    self.faults.order(Order(about_payment(payment), *scenario))
        return payment

    def pay(self, payment: Payment, *, late: bool = False) -> bool:
        """The buyer pays; `late` also what expired or was closed. False when it is no longer open."""
        now = now_ms()
        with self.database.transaction():
            acceptance = self._acceptance(payment, now)
            taken = self.store.accept_payment(payment, acceptance, now_ms=now, late=late)
            if taken:
                self._tell_paid(self.store.payment(payment.id))
        self.wake()
        return taken

    def pay_again(self, payment: Payment) -> Payment | None:
        """The buyer pays what is paid: the same number gets a second number of the channel. None when it is unpaid."""
        now = now_ms()
        if payment.state_at(now) != "paid":
            return None
        with self.database.transaction():
            acceptance = replace(self._acceptance(payment, now), paid_at_ms=now)
            token = secrets.token_urlsafe(24)
            again = self.store.repeat_payment(payment, acceptance, token=token, now_ms=now)
            self._tell_paid(again)
        self.wake()
        return again

    def close(self, payment: Payment) -> None:
        """The merchant closes a payment; money on its way goes back. Raises AlreadyPaid."""
        about = about_payment(payment)
        with self.database.transaction():
            if payment.state_at(now_ms()) == "pending" and self.faults.flag("paid_in_close", about):
                self.pay(payment)
                return
            self.store.close_payment(payment, now_ms=now_ms())
            self.mailbox.void(payment)

    def _acceptance(self, payment: Payment, now: int) -> Acceptance:
        about, dialect = about_payment(payment), self.dialects[payment.channel]
        charged = self.faults.whole("charged_fen", about) or payment.amount_fen
        return Acceptance(
            trade_no=dialect.trade_no(payment, now),
            payer=dialect.payer(payment, self.faults.word("payer", about) or secrets.token_hex(8)),
            paid_at_ms=now + self.faults.milliseconds("settle_seconds", about),
            paid_fen=charged,
            payer_fen=max(0, charged - (self.faults.whole("coupon_fen", about) or 0)),
        )

    # Refunds

    def refund(
        self,
        payment: Payment,
        *,
        out_refund_no: str,
        amount_fen: int,
        reason: str,
        notify_url: str = "",
        extra: str = "{}",
    ) -> Refund:
        """The merchant gives money back, or repeats that it did.

        Raises NumberUsed, NotPaid, AmountExceeded, and BalanceTooLow when testers want it.
        """
        now, about = now_ms(), about_payment(payment)
        owner = {"channel": payment.channel, "merchant_id": payment.merchant_id}
        known = self.store.find_refund(**owner, out_refund_no=out_refund_no)
        if known is None and self.faults.flag("balance_low", about):
            raise BalanceTooLow
        outcome = self.faults.word("refund_outcome", about) if known is None else None
        wanted = NewRefund(
            out_refund_no=out_refund_no,
            refund_no=self.dialects[payment.channel].refund_no(payment, now),
            amount_fen=amount_fen,
            reason=reason,
            notify_url=notify_url,
            final_at_ms=now + self.faults.milliseconds("refund_seconds", about),
            outcome="abnormal" if outcome == "abnormal" else "closed" if outcome == "closed" else "succeeded",
            extra=extra,
        )
        with self.database.transaction():
            refund = self.store.create_refund(payment, wanted, now_ms=now)
            if known is None:
                self._tell_refunded(payment, refund)
        self.wake()
        return refund

    def retry_refund(self, refund: Refund) -> Refund:
        """An abnormal refund is sent another way and succeeds; the merchant is told once more."""
        payment, now = self.store.payment(refund.payment_id), now_ms()
        with self.database.transaction():
            ends_at_ms = now + self.faults.milliseconds("refund_seconds", about_payment(payment))
            retried = self.store.end_refund(refund, "succeeded", at_ms=ends_at_ms)
            self._tell_refunded(payment, retried)
        self.wake()
        return retried

    # Telling

    def resend(self, payment: Payment) -> None:
        """Send one more, correct copy of what the merchant should know; nothing while the payment is not paid."""
        now = now_ms()
        sent = [one for one in self.mailbox.of(payment) if one.refund_id is None]
        if payment.state_at(now) != "paid" or not sent or len(sent) >= _MOST_MESSAGES_OF_A_PAYMENT:
            return
        event_id = sent[0].event_id
        dialect = self.dialects[payment.channel]
        notice = dialect.payment_notice(payment, Told(event_id, payment.paid_at_ms or now, payment))
        if notice is not None:
            again = NewNotification(event_id, sent[-1].copy + 1, notice.url, notice.body, now)
            self.mailbox.add(payment, [again])
            self.wake()

    def replay(self, notification_id: int) -> bool:
        """Send a message of the log once more, byte for byte; False when there is none."""
        old = self.mailbox.get(notification_id)
        if old is None:
            return False
        copy = self.mailbox.last_copy(old.event_id) + 1
        again = NewNotification(old.event_id, copy, old.url, old.body, now_ms(), refund_id=old.refund_id)
        self.mailbox.add(self.store.payment(old.payment_id), [again])
        self.wake()
        return True

    def _tell_paid(self, payment: Payment) -> None:
        assert payment.paid_at_ms is not None
        told = self._told(payment, payment.paid_at_ms)
        self._queue(payment, told, self.dialects[payment.channel].payment_notice(payment, told))

    def _tell_refunded(self, payment: Payment, refund: Refund) -> None:
        told = self._told(payment, refund.final_at_ms)
        notice = self.dialects[payment.channel].refund_notice(payment, refund, told)
        self._queue(payment, told, notice, refund_id=refund.id)

    def _told(self, payment: Payment, at_ms: int) -> Told:
        about = about_payment(payment)
        claims: dict[str, str | int | None] = {
            name: self.faults.word(name, about)
            for name in ("merchant_id", "app_id", "currency", "out_trade_no", "trade_no")
        }
        claims["paid_fen"] = self.faults.whole("amount_fen", about)
        lies = {name: value for name, value in claims.items() if value is not None}
        return Told(f"EV{secrets.token_hex(15)}", at_ms, replace(payment, **lies))  # type: ignore[arg-type]

    def _queue(self, payment: Payment, told: Told, notice: Notice | None, *, refund_id: int | None = None) -> None:
        if notice is None:
            return
        about = about_payment(payment)
        drop, hold = self.faults.flag("drop", about), self.faults.whole("reorder", about)
        signing: Signing = "right"
        if self.faults.flag("probe", about):
            signing = "probe"
        elif self.faults.flag("signature", about):
            signing = "wrong"
        due_at_ms = told.at_ms + self.faults.milliseconds("delay_seconds", about)
        copies = self.faults.whole("copies", about) or 1
        self.mailbox.add(
            payment,
            [
                NewNotification(
                    told.event_id,
                    copy,
                    notice.url,
                    notice.body,
                    due_at_ms,
                    "dropped" if drop else "held" if hold else "waiting",
                    signing,
                    refund_id,
                )
                for copy in range(1, copies + 1)
            ],
        )
        if hold:
            self.mailbox.release(
                channel=payment.channel, merchant_id=payment.merchant_id, at_least=hold, now_ms=now_ms()
            )


def about_payment(payment: Payment, call: str = "") -> About:
    """Return what faults are looked up by."""
    return About(payment.channel, payment.merchant_id, payment.out_trade_no, call)
