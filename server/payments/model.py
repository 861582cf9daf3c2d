"""Tables of the payments. Only `server.payments` writes them; reports, reconcile and invariants may read them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, big_text, blob, exact


class PaymentAttempt(Base):
    """One attempt to pay one order through one channel, under a number of ours that is never used again.

    `product` is how the buyer pays (`gateways.port.Product`); `invoke` is JSON that the page's script is called with,
    for the person of `payer_hash` (`payments.payers`).
    It can be paid until `valid_until` where the channel's link ends before the attempt does. `found_by` says which of
    the ways told that money came. `fee_fen` is estimated until the channel's bill names it. It was opened to be
    split by its channel if it `is_shared`.
    """

    __tablename__ = "payment_attempt"
    __table_args__ = (
        UniqueConstraint("channel", "provider_no", name="uq_payment_attempt_provider_no"),
        Index("ix_payment_attempt_order_id", "order_id"),
        Index("ix_payment_attempt_paid_at", "paid_at", "id"),
        Index("ix_payment_attempt_due", "state", "query_at"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_id: Mapped[UUID] = mapped_column(Uid)
    order_code: Mapped[str] = mapped_column(exact(16))
    channel: Mapped[str] = mapped_column(exact(16))
    out_trade_no: Mapped[str] = mapped_column(exact(32), unique=True)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    subject: Mapped[str] = mapped_column(exact(128))
    state: Mapped[str] = mapped_column(exact(24))
    product: Mapped[str] = mapped_column(exact(16), default="qr")
    pay_url: Mapped[str | None] = mapped_column(exact(2048))
    qr_text: Mapped[str | None] = mapped_column(exact(2048))
    invoke: Mapped[str | None] = mapped_column(big_text())
    payer_hash: Mapped[str | None] = mapped_column(exact(32))
    provider_no: Mapped[str | None] = mapped_column(exact(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    query_at: Mapped[datetime | None] = mapped_column(Instant)
    queries: Mapped[int] = mapped_column(BigInt, default=0)
    valid_until: Mapped[datetime | None] = mapped_column(Instant)
    paid_as: Mapped[str | None] = mapped_column(exact(64))
    found_by: Mapped[str | None] = mapped_column(exact(16))
    payer_total_fen: Mapped[int | None] = mapped_column(BigInt)
    fee_fen: Mapped[int | None] = mapped_column(BigInt)
    fee_is_final: Mapped[bool] = mapped_column(default=False)
    is_shared: Mapped[bool] = mapped_column(default=False, server_default=false())

    @property
    def channel_no(self) -> str:
        """Our number as the channel knows this money: another one where two people attached money to the order."""
        return self.paid_as or self.out_trade_no


class PaymentCallback(Base):
    """One notification as it came, byte for byte, once; its body is sealed, because it names the payer.

    `state` is applied; deferred while it could not be applied and the channel has not been asked; refused when the
    channel, asked, did not confirm it; rejected when nobody we know signed it, with the `reason`.
    """

    __tablename__ = "payment_callback"
    __table_args__ = (
        UniqueConstraint("channel", "digest", name="uq_payment_callback_digest"),
        Index("ix_payment_callback_event", "channel", "event_id"),
        Index("ix_payment_callback_received_at", "received_at"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    digest: Mapped[str] = mapped_column(exact(64))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    state: Mapped[str] = mapped_column(exact(24))
    headers: Mapped[bytes] = mapped_column(blob())
    body: Mapped[bytes] = mapped_column(blob())
    received_at: Mapped[datetime] = mapped_column(Instant)
    event_id: Mapped[str | None] = mapped_column(exact(128))
    reason: Mapped[str | None] = mapped_column(exact(64))


class PaymentException(Base):
    """Money or an order that needs a person. `key` makes each one once: a repeat of the cause adds nothing.

    `evidence` is JSON, a list of [name, value]. Somebody proposes an `action`, and another person approves it where
    money moves. `due_at` is when the default policy acts by itself.
    """

    __tablename__ = "payment_exception"
    __table_args__ = (
        Index("ix_payment_exception_open", "closed_at", "id"),
        Index("ix_payment_exception_order_id", "order_id"),
        Index("ix_payment_exception_attempt_id", "attempt_id"),
        Index("ix_payment_exception_unmatched_id", "unmatched_id"),
        Index("ix_payment_exception_refund_id", "refund_id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    key: Mapped[str] = mapped_column(exact(120), unique=True)
    kind: Mapped[str] = mapped_column(exact(32))
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    order_code: Mapped[str | None] = mapped_column(exact(16))
    attempt_id: Mapped[UUID | None] = mapped_column(Uid)
    channel: Mapped[str] = mapped_column(exact(16))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    provider_no: Mapped[str | None] = mapped_column(exact(64))
    expected_fen: Mapped[int | None] = mapped_column(BigInt)
    received_fen: Mapped[int | None] = mapped_column(BigInt)
    created_at: Mapped[datetime] = mapped_column(Instant)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(exact(16), default="open")
    unmatched_id: Mapped[UUID | None] = mapped_column(Uid)
    refund_id: Mapped[UUID | None] = mapped_column(Uid)
    evidence: Mapped[str | None] = mapped_column(big_text())
    action: Mapped[str | None] = mapped_column(exact(24))
    action_order_code: Mapped[str | None] = mapped_column(exact(16))
    action_provider_no: Mapped[str | None] = mapped_column(exact(64))
    note: Mapped[str | None] = mapped_column(exact(400))
    proposed_by: Mapped[str | None] = mapped_column(exact(80))
    proposed_at: Mapped[datetime | None] = mapped_column(Instant)
    approved_by: Mapped[str | None] = mapped_column(exact(80))
    closed_by: Mapped[str | None] = mapped_column(exact(80))
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(BigInt, default=1)


class PaymentChannel(Base):
    """What the shop decided about a channel, and how it was last seen. Without a row it is on and well.

    A channel that is off takes no new attempts; its open ones are followed to their end. `away_since` is set by
    whichever process found that it does not answer, and cleared by the next answer.
    """

    __tablename__ = "payment_channel"

    code: Mapped[str] = mapped_column(exact(16), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str | None] = mapped_column(exact(200))
    changed_by: Mapped[str | None] = mapped_column(exact(80))
    changed_at: Mapped[datetime | None] = mapped_column(Instant)
    away_since: Mapped[datetime | None] = mapped_column(Instant)
    away_why: Mapped[str | None] = mapped_column(exact(200))
    answered_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(BigInt, default=1)


class PaymentBill(Base):
    """The bill of a channel's business day: read, or why it is not yet.

    It is settled when it was read to its end, or taken for one of a day without trade. `trouble` (`states.BillTrouble`)
    and `why` are of the last look, `trouble_since` of the first one in vain. What it named was counted: payments of
    ours, how many of them nobody had told us of, and those of others who use the same merchant number.
    """

    __tablename__ = "payment_bill"

    channel: Mapped[str] = mapped_column(exact(16), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    settled_at: Mapped[datetime | None] = mapped_column(Instant)
    trouble: Mapped[str | None] = mapped_column(exact(16))
    why: Mapped[str | None] = mapped_column(exact(200))
    trouble_since: Mapped[datetime | None] = mapped_column(Instant)
    payments: Mapped[int] = mapped_column(BigInt, default=0)
    news: Mapped[int] = mapped_column(BigInt, default=0)
    others: Mapped[int] = mapped_column(BigInt, default=0)
    others_fen: Mapped[int] = mapped_column(BigInt, default=0)


class PaymentBillFile(Base):
    """A bill as it came, fetched or dropped, kept for good. Of a channel's day and kind the newest is current.

    `source` is `none` where the channel said that it has none: it has no row. Once its day is signed the current one
    `is_closed`, and stays. `late_n` counts what is given of a signed day, whatever was given before: the last of a kind
    is the channel's word. What differs by it is work of the open day `taken_on`.
    The hashes are of the unpacked file with the rows, `sha1` as WeChat Pay states it. `totals` is JSON: what the file
    prints of itself beside what its rows make. The file itself names payers: it is in sealed pieces.
    """

    __tablename__ = "payment_bill_file"
    __table_args__ = (
        UniqueConstraint("channel", "kind", "day", "sha256", name="uq_payment_bill_file_sha256"),
        Index("ix_payment_bill_file_day", "day", "channel"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    kind: Mapped[str] = mapped_column(exact(16))
    day: Mapped[date] = mapped_column(Date)
    merchant_id: Mapped[str] = mapped_column(exact(64))
    name: Mapped[str] = mapped_column(exact(200))
    source: Mapped[str] = mapped_column(exact(16))
    added_by: Mapped[str] = mapped_column(exact(80))
    added_at: Mapped[datetime] = mapped_column(Instant)
    size: Mapped[int] = mapped_column(BigInt)
    row_count: Mapped[int] = mapped_column(BigInt)
    sha1: Mapped[str] = mapped_column(exact(40))
    sha256: Mapped[str] = mapped_column(exact(64))
    totals: Mapped[str] = mapped_column(big_text())
    is_current: Mapped[bool] = mapped_column(default=True)
    is_closed: Mapped[bool] = mapped_column(default=False, server_default=false())
    late_n: Mapped[int | None] = mapped_column(BigInt)
    taken_on: Mapped[date | None] = mapped_column(Date)

    @property
    def is_late(self) -> bool:
        """Whether it came after its day was signed, and never was what the day was signed with."""
        return self.late_n is not None and not self.is_current


class PaymentBillPiece(Base):
    """A piece of a kept bill: compressed, cut, and sealed by the key ring. All of them in order are the file."""

    __tablename__ = "payment_bill_piece"

    file_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    sealed: Mapped[bytes] = mapped_column(blob())


class UnmatchedPayment(Base):
    """Money that a channel received for us and that pays no attempt: of a wrong amount, a second time, or an orphan.

    It is in the ledger's suspense account while `state` is `held` or `returning` (`states.UnmatchedState`).
    """

    __tablename__ = "payment_unmatched"
    __table_args__ = (
        UniqueConstraint("channel", "provider_no", name="uq_payment_unmatched_provider_no"),
        CheckConstraint("amount_fen > 0", name="amount"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    provider_no: Mapped[str] = mapped_column(exact(64))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    attempt_id: Mapped[UUID | None] = mapped_column(Uid)
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    paid_at: Mapped[datetime] = mapped_column(Instant)
    found_by: Mapped[str] = mapped_column(exact(16))
    state: Mapped[str] = mapped_column(exact(16))
    created_at: Mapped[datetime] = mapped_column(Instant)
