"""The channel `epay`: a site that speaks Epay (易支付), version 1 (MD5) or 2 (RSA). Off unless a merchant sets it up.

Guarantees of this file: a notification is never proof (`notice_is_proof`): its number is queried, and that decides;
no answer to a notification but the acknowledgement has the word the site looks for; the secret of version 1 stands in
the address of a query, as the site wants it, and in no other, and in no log. A payment is an address that we sign and
nobody is asked for: the site knows of it when the buyer opens it. Sites have no call to close, and version 1 no refund
that can be repeated safely, so neither is offered. Answers of version 1 are signed by nobody: TLS vouches for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from server.gateways.epay_signing import EpayAccount, seal_of
from server.gateways.port import (
    CLOCK_SKEW_SECONDS,
    BadSignature,
    Bill,
    BillKind,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    MalformedNotice,
    NoticeReply,
    PaymentFact,
    PaymentOpened,
    PaymentState,
    Product,
    Reason,
    RefundFact,
    Unclear,
)
from server.gateways.wire import (
    BlankIsNone,
    ShopTime,
    Wire,
    Word,
    Yuan,
    encode_form,
    our_number,
    plain,
    read_form,
    refund_alone,
    require_same,
    split_address,
    where,
    yuan_of_fen,
)
from server.outbound import Line, Unanswered
from shared import clock

CHANNEL = "epay"
_STATES: dict[str, PaymentState] = {"0": "pending", "1": "paid", "2": "refunded", "4": "pending"}
_FROZEN = "3"
_REFUNDED = "1"
_ADDRESS_LIFE = timedelta(seconds=CLOCK_SKEW_SECONDS)
_NO_SUCH = re.compile("订单号?不存在|退款记录不存在")
# Numbers stay text: an amount must not become a float on its way to fen, and the signature is over what was written.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


class _Order(Wire):
    pid: Word
    trade_no: Word
    out_trade_no: Word
    money: Yuan
    status: Literal["0", "1", "2", "3", "4"]
    endtime: Annotated[ShopTime | None, BlankIsNone] = None


class _Refund(Wire):
    refund_no: Word
    out_refund_no: Annotated[Word | None, BlankIsNone] = None
    out_trade_no: Annotated[Word | None, BlankIsNone] = None
    money: Yuan
    status: str = _REFUNDED
    endtime: Annotated[ShopTime | None, BlankIsNone] = None


class _Notice(Wire):
    pid: Word
    trade_no: Word
    out_trade_no: Word
    money: Yuan
    trade_status: Literal["TRADE_SUCCESS"]
    timestamp: str | None = Field(default=None, pattern=r"^[0-9]{1,12}$")


W = TypeVar("W", bound=Wire)


class EpayGateway:
    """`port.Gateway` for one merchant of one site."""

    def __init__(self, account: EpayAccount, *, outbound: Line, now: Callable[[], datetime] = clock.now) -> None:
        """Read all keys. Raises ValueError when a key is missing or no RSA key, or the address is not http(s)."""
        self._account, self._seal = account, seal_of(account)
        self._url = "".join(split_address(CHANNEL, account.url))
        self._outbound, self._now = outbound, now

    @property
    def channel(self) -> str:
        """The channel's name."""
        return CHANNEL

    @property
    def merchant_id(self) -> str:
        """Our pid."""
        return self._account.merchant_id

    @property
    def app_ids(self) -> frozenset[str]:
        """Epay has no applications."""
        return frozenset()

    @property
    def products(self) -> frozenset[Product]:
        """The site's page serves all: opened, or scanned from another device."""
        return frozenset({"qr", "h5", "page"})

    @property
    def notice_is_proof(self) -> bool:
        """MD5 is weak, and sites call over lines that nobody checks."""
        return False

    @property
    def makes_bills(self) -> bool:
        """Sites make none."""
        return False

    @property
    def payers(self) -> None:
        """Nothing it offers must know who pays."""
        return None

    @property
    def _is_second(self) -> bool:
        return self._account.key is None

    # --- payments ------------------------------------------------------------------------------------------

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """See `port.Gateway.create`. The buyer chooses on the site's page how to pay."""
        if payment.product not in self.products:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)
        fields = {
            "pid": self.merchant_id,
            "out_trade_no": our_number(payment.out_trade_no),
            "notify_url": payment.notify_url,
            "return_url": payment.return_url,
            "name": plain(payment.subject, most_bytes=127) or payment.out_trade_no,
            "money": yuan_of_fen(payment.amount_fen),
        }
        url = f"{self._url}/{'api/pay/submit' if self._is_second else 'submit.php'}?{encode_form(self._signed(fields))}"
        until = self._now() + _ADDRESS_LIFE
        return PaymentOpened(
            pay_url=url, qr_text=url, valid_until=until if self._is_second and until < payment.expires_at else None
        )

    async def query(self, out_trade_no: str, *, provider_no: str | None = None) -> PaymentFact | None:  # noqa: ARG002 - no bills
        """See `port.Gateway.query`."""
        if self._is_second:
            order = await self._ask(_Order, "query", {"out_trade_no": our_number(out_trade_no)})
        else:
            assert self._account.key is not None
            question = {"act": "order", "pid": self.merchant_id, "key": self._account.key}
            url = f"{self._url}/api.php?{encode_form(question | {'out_trade_no': our_number(out_trade_no)})}"
            order = self._believed(_Order, await self._exchange("GET", url), "1")
        if order is None:
            return None
        require_same(CHANNEL, order.out_trade_no, out_trade_no)
        if order.status == _FROZEN:
            raise Unclear(channel=CHANNEL, detail="frozen by the site")
        state = _STATES[order.status]
        came = state in {"paid", "refunded"}
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=order.out_trade_no,
            provider_no=order.trade_no if came else None,
            merchant_id=order.pid,
            amount_fen=order.money,
            currency="CNY",
            state=state,
            paid_at=order.endtime if came else None,
            event_id=None,
        )

    async def close(self, out_trade_no: str) -> None:
        """See `port.Gateway.close`. Sites cannot close: an address that we signed stays good, and money may come late.

        So it does where the site knows of no such number yet: it is sent no time at which it ends.
        """
        fact = await self.query(out_trade_no)
        paid = fact is not None and fact.state in {"paid", "refunded"}
        raise ChannelRefused(channel=CHANNEL, reason_code=Reason.ALREADY_PAID if paid else Reason.PRODUCT_NOT_OFFERED)

    # --- refunds -------------------------------------------------------------------------------------------

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """See `port.Gateway.refund`. Not offered in version 1, where a repeat would give the money back twice."""
        self._require_second()
        fields = {
            "out_trade_no": our_number(refund.out_trade_no),
            "out_refund_no": our_number(refund.out_refund_no),
            "money": yuan_of_fen(refund.amount_fen),
        }
        done = await self._ask(_Refund, "refund", fields)
        if done is None:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.NOT_FOUND)
        require_same(
            CHANNEL, (done.out_refund_no or refund.out_refund_no, done.money), (refund.out_refund_no, refund.amount_fen)
        )
        return _refund_fact(done, refund.out_refund_no, refund.out_trade_no)

    async def query_refund(
        self,
        out_refund_no: str,
        *,
        out_trade_no: str | None = None,
        provider_no: str | None = None,  # noqa: ARG002 - the number of the refund is enough here
    ) -> RefundFact | None:
        """See `port.Gateway.query_refund`. None also for one that failed: the same number may be tried again."""
        self._require_second()
        found = await self._ask(_Refund, "refundquery", {"out_refund_no": out_refund_no})
        if found is None or found.status != _REFUNDED:
            return None
        number = out_trade_no or found.out_trade_no
        if number is None:
            raise Unclear(channel=CHANNEL, detail="refunded without a payment")
        require_same(CHANNEL, (found.out_refund_no, found.out_trade_no or number), (out_refund_no, number))
        return _refund_fact(found, out_refund_no, number)

    def _require_second(self) -> None:
        if not self._is_second:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)

    async def download_bill(self, kind: BillKind, day: date) -> Bill | None:  # noqa: ARG002 - the port's names
        """Sites make no bills."""
        raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)

    # --- notifications -------------------------------------------------------------------------------------

    def verify_notify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact:  # noqa: ARG002 - all is in the body
        """See `port.Gateway.verify_notify`. It has no time of payment: the fact's is now, and the query tells."""
        try:
            fields = {name.decode(): value.decode() for name, value in read_form(body).items()}
        except UnicodeDecodeError:
            raise BadSignature(reason="unreadable") from None
        if fields.get("sign_type", self._seal.sign_type).upper() != self._seal.sign_type:
            raise BadSignature(reason="forged")
        self._seal.check(fields, fields.get("sign", ""))
        try:
            notice = _Notice.model_validate(fields)
        except ValidationError as error:
            raise MalformedNotice(reason=where(error)) from None  # the chained error would carry the values
        if self._is_second:
            self._require_fresh(notice.timestamp)
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=notice.out_trade_no,
            provider_no=notice.trade_no,
            merchant_id=notice.pid,
            amount_fen=notice.money,
            currency="CNY",
            state="paid",
            paid_at=self._now(),
            event_id=notice.trade_no,
        )

    def verify_refund_notify(self, headers: Mapping[str, str], body: bytes) -> RefundFact:
        """See `port.Gateway.verify_refund_notify`. Sites do not tell of refunds."""
        return refund_alone(self.verify_notify(headers, body), told_by="trade_status")

    def accepted(self) -> NoticeReply:
        """The word that stops the site from telling again."""
        return NoticeReply(status=200, body=self._account.acknowledgement.encode(), media_type="text/plain")

    def refused(self, reason: str) -> NoticeReply:
        """Four letters: a site takes any text with the word of the acknowledgement in it for one."""
        return NoticeReply(status=401 if reason == BadSignature.code else 400, body=b"fail", media_type="text/plain")

    # --- asking --------------------------------------------------------------------------------------------

    def _signed(self, fields: Mapping[str, str]) -> dict[str, str]:
        stamped = dict(fields)
        if self._is_second:
            stamped["timestamp"] = str(int(self._now().timestamp()))
        return stamped | {"sign": self._seal.sign(stamped), "sign_type": self._seal.sign_type}

    async def _ask(self, answer: type[W], call: str, fields: Mapping[str, str]) -> W | None:
        """What a site of version 2 answers, None for what it does not know.

        Its refusals are not signed. That it knows of no such number is believed all the same: it moves no money.
        """
        body = encode_form(self._signed({"pid": self.merchant_id, **fields})).encode()
        given = await self._exchange("POST", f"{self._url}/api/pay/{call}", body)
        try:
            self._seal.check(given, given.get("sign", ""))
            self._require_fresh(given.get("timestamp"))
        except BadSignature as error:
            if given.get("code") != "0" and _NO_SUCH.search(given.get("msg", "")):
                return None
            detail = f"answer {error.reason}, code {_code(given)}"
            raise ChannelUnknown(channel=CHANNEL, detail=detail) from error
        return self._believed(answer, given, "0")

    def _believed(self, answer: type[W], given: Mapping[str, str], done: str) -> W | None:
        if given.get("code") != done:
            if _NO_SUCH.search(given.get("msg", "")):
                return None
            raise ChannelRefused(channel=CHANNEL, reason_code=_code(given))
        try:
            return answer.model_validate(given)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer malformed at {where(error)}") from None

    async def _exchange(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """The answer's members that are texts or numbers, as texts."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        try:
            reply = await self._outbound.exchange(method, url, headers=headers, body=body)
        except Unanswered as error:
            raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}")
        try:
            given = _DECODER.decode(reply.body.decode())
        except (ValueError, RecursionError):
            raise ChannelUnknown(channel=CHANNEL, detail="answer malformed") from None
        if not isinstance(given, dict):
            raise ChannelUnknown(channel=CHANNEL, detail="answer malformed")
        return {name: value for name, value in given.items() if isinstance(value, str)}

    def _require_fresh(self, timestamp: str | None) -> None:
        if timestamp is None or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
            raise BadSignature(reason="incomplete")
        if abs(self._now().timestamp() - int(timestamp)) >= CLOCK_SKEW_SECONDS:
            raise BadSignature(reason="stale")


def _code(given: Mapping[str, str]) -> str:
    """The site's own word, fit for a log."""
    code = given.get("code", "")
    return code if re.fullmatch(r"-?[0-9]{1,6}", code) else "?"


def _refund_fact(refund: _Refund, out_refund_no: str, out_trade_no: str) -> RefundFact:
    return RefundFact(
        out_refund_no=out_refund_no,
        refund_no=refund.refund_no,
        out_trade_no=out_trade_no,
        amount_fen=refund.money,
        state="succeeded",
        refunded_at=refund.endtime,
    )
