"""The channel `alipay`: Alipay's gateway with RSA2 keys: codes to scan, a phone's and a computer's browser.

Guarantees of this file: nothing Alipay says is believed before its signature over the raw text or bytes was checked,
except a bill's file, which has none; an answer that is not signed leaves the outcome unknown, also when it says no.
A phone's or a computer's page is an address that we sign and nobody is asked for: Alipay knows of the payment when the
buyer opens it. A code is known when somebody scans it, so until then Alipay knows of no such number, and that means
"not paid". Notifications have no time: an old genuine one can come at any time, and natural keys make it harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from server.gateways.alipay_signing import SIGN_TYPE, AlipayAccount, Answer, Keys, read_answer, read_notice
from server.gateways.alipay_wire import (
    CHANNEL,
    DONE,
    ENDED,
    NO_BILL,
    BillReady,
    Closed,
    Notice,
    Opened,
    Refunded,
    RefundFound,
    Trade,
    Verdict,
)
from server.gateways.bill_rows import CutOffBill
from server.gateways.bill_streams import ZIP_BEGINS, sha1s
from server.gateways.port import (
    BadSignature,
    Bill,
    BillKind,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    DamagedBill,
    MalformedNotice,
    NoticeReply,
    PaymentFact,
    PaymentOpened,
    Product,
    Reason,
    RefundFact,
    Unclear,
)
from server.gateways.wire import (
    Wire,
    encode_form,
    encode_json,
    our_number,
    plain,
    refund_alone,
    require_same,
    split_address,
    where,
    yuan_of_fen,
)
from server.outbound import Line, Unanswered
from shared import clock

GATEWAY_URL = "https://openapi.alipay.com/gateway.do"
_CHARSET = "utf-8"
_CODE_LIFE = timedelta(hours=2)
_PAGES: dict[Product, tuple[str, str]] = {
    "h5": ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    "page": ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
}
_NOT_IN_A_SUBJECT = str.maketrans("/=&", "   ")

W = TypeVar("W", bound=Wire)


class AlipayGateway:
    """`port.Gateway` for one application of one seller at Alipay."""

    def __init__(
        self,
        account: AlipayAccount,
        *,
        outbound: Line,
        downloads: Line | None = None,
        base_url: str = GATEWAY_URL,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Read all keys. `downloads` fetches bills: a line with room and time for them.

        Raises ValueError when a key is not an RSA key, or the address is not http(s).
        """
        self._account, self._keys = account, Keys(account)
        self._url = "".join(split_address(CHANNEL, base_url))
        self._outbound, self._downloads = outbound, downloads or outbound
        self._now = now

    @property
    def channel(self) -> str:
        """The channel's name."""
        return CHANNEL

    @property
    def merchant_id(self) -> str:
        """Our seller_id."""
        return self._account.seller_id

    @property
    def app_ids(self) -> frozenset[str]:
        """Our application."""
        return frozenset({self._account.app_id})

    @property
    def products(self) -> frozenset[Product]:
        """A code, a phone's page, a computer's page."""
        return frozenset({"qr", "h5", "page"})

    @property
    def notice_is_proof(self) -> bool:
        """Only the channel can sign as it does."""
        return True

    @property
    def makes_bills(self) -> bool:
        """Of trades and of funds."""
        return True

    @property
    def payers(self) -> None:
        """Nothing it offers must know who pays."""
        return None

    # --- payments ------------------------------------------------------------------------------------------

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """See `port.Gateway.create`."""
        if payment.product not in self.products:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)
        content: dict[str, object] = {
            "out_trade_no": our_number(payment.out_trade_no),
            "total_amount": yuan_of_fen(payment.amount_fen),
            "subject": plain(payment.subject.translate(_NOT_IN_A_SUBJECT), most_bytes=256) or payment.out_trade_no,
            "time_expire": _beijing(payment.expires_at),
        }
        if payment.is_shared:
            content["extend_params"] = {"royalty_freeze": "true"}
        if payment.product in _PAGES:
            return PaymentOpened(pay_url=self._page(payment, content), qr_text=None)
        opened = await self._ask(Opened, "alipay.trade.precreate", content, notify_url=payment.notify_url)
        require_same(CHANNEL, opened.out_trade_no, payment.out_trade_no)
        until = self._now() + _CODE_LIFE
        return PaymentOpened(
            pay_url=None, qr_text=opened.qr_code, valid_until=until if until < payment.expires_at else None
        )

    def _page(self, payment: CreatePayment, content: dict[str, object]) -> str:
        """The address that the buyer's browser goes to."""
        method, code = _PAGES[payment.product]
        content = content | {"product_code": code}
        if payment.product == "h5":
            content["quit_url"] = payment.return_url
        parameters = self._parameters(method, notify_url=payment.notify_url, return_url=payment.return_url)
        parameters["biz_content"] = encode_json(content).decode()
        return f"{self._url}?{encode_form(parameters | {'sign': self._keys.sign(parameters)})}"

    async def query(self, out_trade_no: str, *, provider_no: str | None = None) -> PaymentFact | None:
        """See `port.Gateway.query`."""
        try:
            trade = await self._ask(Trade, "alipay.trade.query", _payment_of(out_trade_no, provider_no))
        except ChannelRefused as refusal:
            if refusal.reason_code == Reason.NOT_FOUND:
                return None
            raise
        fact = trade.fact(seller_id=self.merchant_id, app_id=self._account.app_id)
        require_same(CHANNEL, trade.trade_no if provider_no else trade.out_trade_no, provider_no or out_trade_no)
        return fact if trade.out_trade_no == out_trade_no else None

    async def close(self, out_trade_no: str) -> None:
        """See `port.Gateway.close`. A code that nobody scanned is NOT_FOUND and takes no money after its time."""
        try:
            closed = await self._ask(Closed, "alipay.trade.close", {"out_trade_no": our_number(out_trade_no)})
        except ChannelRefused as refusal:
            if refusal.reason_code not in {*ENDED, Reason.ALREADY_CLOSED}:
                raise
            await self._require_closed(out_trade_no)
        else:
            require_same(CHANNEL, closed.out_trade_no, out_trade_no)

    async def _require_closed(self, out_trade_no: str) -> None:
        """What does not wait for the buyer any more was paid or closed before: only the query tells."""
        fact = await self.query(out_trade_no)
        if fact is None:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.NOT_FOUND)
        if fact.state in {"paid", "refunded"}:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.ALREADY_PAID)
        if fact.state != "closed":
            raise Unclear(channel=CHANNEL, detail="not closed, and still open")

    # --- refunds -------------------------------------------------------------------------------------------

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """See `port.Gateway.refund`. A repeat moves no money and is `processing`: query what the first did."""
        content = _payment_of(refund.out_trade_no, refund.provider_no) | {
            "out_request_no": our_number(refund.out_refund_no),
            "refund_amount": yuan_of_fen(refund.amount_fen),
        }
        if reason := plain(refund.reason, most_bytes=256):
            content["refund_reason"] = reason
        done = await self._ask(Refunded, "alipay.trade.refund", content)
        require_same(
            CHANNEL,
            done.trade_no if refund.provider_no else done.out_trade_no,
            refund.provider_no or refund.out_trade_no,
        )
        return RefundFact(
            out_refund_no=refund.out_refund_no,
            refund_no=done.trade_no,
            out_trade_no=done.out_trade_no,
            amount_fen=refund.amount_fen,
            state="succeeded" if done.fund_change == "Y" else "processing",
            refunded_total_fen=done.refund_fee,
        )

    async def query_refund(
        self, out_refund_no: str, *, out_trade_no: str | None = None, provider_no: str | None = None
    ) -> RefundFact | None:
        """See `port.Gateway.query_refund`. None also for one that failed: the same number may be tried again."""
        assert out_trade_no is not None, "Alipay finds a refund by its payment"
        content = _payment_of(out_trade_no, provider_no) | {
            "out_request_no": out_refund_no,
            "query_options": ["gmt_refund_pay"],
        }
        try:
            found = await self._ask(RefundFound, "alipay.trade.fastpay.refund.query", content)
        except ChannelRefused as refusal:
            if refusal.reason_code == Reason.NOT_FOUND:
                return None
            raise
        if found.refund_status is None:
            return None
        payment = found.trade_no if provider_no else found.out_trade_no
        require_same(CHANNEL, (payment, found.out_request_no), (provider_no or out_trade_no, out_refund_no))
        if found.trade_no is None or found.refund_amount is None:
            raise Unclear(channel=CHANNEL, detail="refunded without a number or an amount")
        return RefundFact(
            out_refund_no=out_refund_no,
            refund_no=found.trade_no,
            out_trade_no=out_trade_no,
            amount_fen=found.refund_amount,
            state="succeeded" if found.refund_status == "REFUND_SUCCESS" else "processing",
            refunded_at=found.gmt_refund_pay,
        )

    # --- notifications -------------------------------------------------------------------------------------

    def verify_notify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact | RefundFact:  # noqa: ARG002 - all is in the body
        """See `port.Gateway.verify_notify`. Refunds are told at the address of the payment."""
        fields = read_notice(self._keys, body)
        try:
            return Notice.model_validate(fields).fact()
        except ValidationError as error:
            raise MalformedNotice(reason=where(error)) from None  # the chained error would carry the values

    def verify_refund_notify(self, headers: Mapping[str, str], body: bytes) -> RefundFact:
        """See `port.Gateway.verify_refund_notify`."""
        return refund_alone(self.verify_notify(headers, body), told_by="refund_fee")

    def accepted(self) -> NoticeReply:
        """The seven letters that stop Alipay from telling again."""
        return NoticeReply(status=200, body=b"success", media_type="text/plain")

    def refused(self, reason: str) -> NoticeReply:
        """Anything else makes it tell again later."""
        return NoticeReply(status=401 if reason == BadSignature.code else 400, body=b"failure", media_type="text/plain")

    # --- bills ---------------------------------------------------------------------------------------------

    async def download_bill(self, kind: BillKind, day: date) -> Bill | None:
        """See `port.Gateway.download_bill`. The file is neither signed nor hashed: its own totals must be compared."""
        content = {"bill_type": "trade" if kind == "trades" else "signcustomer", "bill_date": day.isoformat()}
        try:
            ready = await self._ask(BillReady, "alipay.data.dataservice.bill.downloadurl.query", content)
        except ChannelRefused as refusal:
            if refusal.reason_code == NO_BILL:
                return None
            raise
        try:
            reply = await self._downloads.exchange("GET", ready.bill_download_url, headers={})
        except Unanswered as error:
            raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"bill answered status {reply.status}")
        if not reply.body.startswith(ZIP_BEGINS):
            raise DamagedBill(channel=CHANNEL, detail="bill is no archive")
        try:
            sha1s(reply.body)  # of no use to anybody, but read to the end
        except CutOffBill as damaged:
            raise DamagedBill(channel=CHANNEL, detail=f"bill damaged: {damaged.reason}") from None
        return Bill(CHANNEL, kind, day, name=f"{self.merchant_id}_{kind}_{day:%Y%m%d}.csv.zip", content=reply.body)

    # --- asking --------------------------------------------------------------------------------------------

    def _parameters(self, method: str, **addresses: str) -> dict[str, str]:
        return {
            "app_id": self._account.app_id,
            "method": method,
            "format": "JSON",
            "charset": _CHARSET,
            "sign_type": SIGN_TYPE,
            "timestamp": _beijing(self._now()),
            "version": "1.0",
            **addresses,
        }

    async def _ask(self, answer: type[W], method: str, content: Mapping[str, object], **addresses: str) -> W:
        """What a signed answer says. Anything else than a signed yes or no leaves the outcome unknown."""
        parameters = self._parameters(method, **addresses)
        biz_content = encode_json(content).decode()
        sign = self._keys.sign(parameters | {"biz_content": biz_content})
        # In the address Alipay reads the charset before it decodes the body.
        url = f"{self._url}?{encode_form(parameters | {'sign': sign})}"
        headers = {"Content-Type": f"application/x-www-form-urlencoded;charset={_CHARSET}"}
        body = encode_form({"biz_content": biz_content}).encode()
        try:
            reply = await self._outbound.exchange("POST", url, headers=headers, body=body)
        except Unanswered as error:
            raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}")
        return self._read(answer, method, reply.body)

    def _read(self, answer: type[W], method: str, body: bytes) -> W:
        try:
            given = read_answer(body.decode(_CHARSET), (method.replace(".", "_") + "_response", "error_response"))
            verdict = Verdict.model_validate(given.content)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer malformed at {where(error)}") from None
        except (ValueError, RecursionError):
            raise ChannelUnknown(channel=CHANNEL, detail="answer malformed") from None
        self._check(given, verdict)
        if verdict.is_unknown:
            raise ChannelUnknown(channel=CHANNEL, detail=str(verdict))
        if verdict.code != DONE:
            raise ChannelRefused(channel=CHANNEL, reason_code=verdict.reason)
        try:
            return answer.model_validate(given.content)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer malformed at {where(error)}") from None

    def _check(self, given: Answer, verdict: Verdict) -> None:
        try:
            self._keys.check(given.raw.encode(), given.sign)
        except BadSignature as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer {error.reason}, {verdict}") from error


def _payment_of(out_trade_no: str, provider_no: str | None) -> dict[str, object]:
    """Which trade is meant: by Alipay's own number where money came twice for ours, which counts before ours there."""
    return {"trade_no": our_number(provider_no)} if provider_no else {"out_trade_no": our_number(out_trade_no)}


def _beijing(instant: datetime) -> str:
    """As a clock in Beijing shows it, wherever this process runs."""
    return clock.shop_time(instant).strftime("%Y-%m-%d %H:%M:%S")
