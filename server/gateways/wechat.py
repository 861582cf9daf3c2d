"""The channel `wechat`: WeChat Pay APIv3 of a merchant: codes to scan, phones, pages and mini programs inside WeChat.

Guarantees of this file: what is signed is what is sent, byte for byte; nothing WeChat Pay says is believed before its
signature over the raw bytes and its time were checked, except a bill's file, which is compared with its signed hash;
an answer that is not signed leaves the outcome unknown, also when it says no; the spare host is asked only when the
main one could not be reached at all, so that no request is sent twice. Amounts are fen, times Beijing time on the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from server.gateways.bill_rows import CutOffBill
from server.gateways.bill_streams import sha1s
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
    UnopenableNotice,
)
from server.gateways.wechat_keys import (
    ChannelKeys,
    Signer,
    WechatAccount,
    api_v3_keys,
    names_certificate,
    open_resource,
)
from server.gateways.wechat_payer import PayerDesk
from server.gateways.wechat_wire import (
    CHANNEL,
    NO_BILL,
    REASONS,
    UNKNOWN_REASONS,
    BillReady,
    Certificates,
    H5Opened,
    JsapiOpened,
    NativeOpened,
    Notice,
    Refund,
    RefundTold,
    Refusal,
    Sealed,
    Transaction,
)
from server.gateways.wire import (
    NOT_SENT,
    Wire,
    encode_json,
    in_path,
    our_number,
    plain,
    refund_alone,
    require_same,
    split_address,
    where,
)
from server.outbound import Line, Reply, Unanswered
from shared import clock, ids

_log = logging.getLogger("kameng.gateways")

MAIN_HOST = "https://api.mch.weixin.qq.com"
SPARE_HOST = "https://api2.mch.weixin.qq.com"
_CODE_LIFE = timedelta(hours=2)
_H5_LIFE = timedelta(minutes=5)
SPARE_FIRST = timedelta(minutes=5)
"""How long the spare host is asked first after the main one could not be reached: each try costs a buyer seconds."""
RENEW_AFTER = timedelta(minutes=10)
"""How often certificates are fetched at most: a forged notification can name any key."""

W = TypeVar("W", bound=Wire)

_ACCEPTED = NoticeReply(200, encode_json({"code": "SUCCESS", "message": "成功"}), "application/json")


def _random_nonce() -> str:
    return ids.random_bytes(16).hex()


class WechatGateway:
    """`port.Gateway` for one merchant of WeChat Pay."""

    def __init__(
        self,
        account: WechatAccount,
        *,
        outbound: Line,
        downloads: Line | None = None,
        base_url: str = MAIN_HOST,
        spare_url: str | None = SPARE_HOST,
        now: Callable[[], datetime] = clock.now,
        nonce: Callable[[], str] = _random_nonce,
        keep: Callable[[tuple[bytes, ...]], None] = lambda _fetched: None,
        payers: PayerDesk | None = None,
    ) -> None:
        """Read all keys. `downloads` fetches bills: a line with room and time for them. `keep` stores new certificates.

        Without `payers` nothing can be paid on a page inside WeChat.

        Raises ValueError when a key is not what WeChat Pay uses, or an address is not http(s).
        """
        self._account = account
        self._signer, self._keys, self._openers = Signer(account), ChannelKeys.of(account), api_v3_keys(account)
        self._hosts = [split_address(CHANNEL, url) for url in (base_url, spare_url) if url is not None]
        self._outbound, self._downloads = outbound, downloads or outbound
        self._now, self._nonce, self._keep = now, nonce, keep
        self._payers = payers
        self._spare_until = datetime.min.replace(tzinfo=UTC)
        self._renewal_wanted = False
        self._renewed_at: datetime | None = None

    @property
    def channel(self) -> str:
        """The channel's name."""
        return CHANNEL

    @property
    def merchant_id(self) -> str:
        """Our mchid."""
        return self._account.merchant_id

    @property
    def app_ids(self) -> frozenset[str]:
        """Our official account's appid, and our mini program's."""
        return frozenset(app_id for app_id in (self._account.app_id, self._account.mini_app_id) if app_id)

    @property
    def products(self) -> frozenset[Product]:
        """All of WeChat Pay's but a computer's page: there the buyer scans."""
        needed: dict[Product, object] = {
            "qr": True,
            "h5": True,
            "jsapi": self._payers,
            "mini_program": self._account.mini_app_id,
        }
        return frozenset(product for product, given in needed.items() if given)

    @property
    def notice_is_proof(self) -> bool:
        """Only the channel can sign as it does."""
        return True

    @property
    def makes_bills(self) -> bool:
        """Of trades and of funds."""
        return True

    @property
    def payers(self) -> PayerDesk | None:
        """See `port.Gateway.payers`: the official account, where its secret was given."""
        return self._payers

    # --- payments ------------------------------------------------------------------------------------------

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """See `port.Gateway.create`."""
        if payment.product not in self.products:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)
        if payment.product == "mini_program" and payment.payer.system == "ios":
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.IOS_NOT_ALLOWED)
        assert "?" not in payment.notify_url, "WeChat Pay calls no address with a query"
        if payment.product == "qr":
            native = await self._ask(NativeOpened, "POST", "/v3/pay/transactions/native", self._order(payment))
            until = self._until(payment, _CODE_LIFE)
            return PaymentOpened(pay_url=None, qr_text=native.code_url, valid_until=until)
        if payment.product == "h5":
            return await self._create_h5(payment)
        return await self._create_jsapi(payment)

    async def _create_h5(self, payment: CreatePayment) -> PaymentOpened:
        assert payment.payer.ip, "a phone's browser is named by the buyer's address"
        scene = {"payer_client_ip": payment.payer.ip, "h5_info": {"type": "Wap"}}
        content = self._order(payment) | {"scene_info": scene}
        opened = await self._ask(H5Opened, "POST", "/v3/pay/transactions/h5", content)
        mark = "&" if "?" in opened.h5_url else "?"
        url = f"{opened.h5_url}{mark}redirect_url={quote(payment.return_url, safe='')}"
        return PaymentOpened(pay_url=url, qr_text=None, valid_until=self._until(payment, _H5_LIFE))

    async def _create_jsapi(self, payment: CreatePayment) -> PaymentOpened:
        assert payment.payer.user_id, "a payment inside WeChat is made by an openid"
        content = self._order(payment) | {"payer": {"openid": payment.payer.user_id}}
        opened = await self._ask(JsapiOpened, "POST", "/v3/pay/transactions/jsapi", content)
        app_id, timestamp, nonce = self._app_id(payment.product), str(int(self._now().timestamp())), self._nonce()
        package = f"prepay_id={opened.prepay_id}"
        invoke = {
            "appId": app_id,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": self._signer.sign(f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()),
        }
        return PaymentOpened(pay_url=None, qr_text=None, invoke=invoke, valid_until=self._until(payment, _CODE_LIFE))

    def _order(self, payment: CreatePayment) -> dict[str, object]:
        """What every product is asked with. The same payment gives the same bytes: a repeat is recognised by them."""
        settling = {"settle_info": {"profit_sharing": True}} if payment.is_shared else {}
        return {
            "appid": self._app_id(payment.product),
            "mchid": self.merchant_id,
            "description": plain(payment.subject, most_bytes=127) or payment.out_trade_no,
            "out_trade_no": our_number(payment.out_trade_no),
            "time_expire": clock.shop_time(payment.expires_at).isoformat(timespec="seconds"),
            "notify_url": payment.notify_url,
            "amount": {"total": payment.amount_fen, "currency": "CNY"},
            **settling,
        }

    def _app_id(self, product: Product) -> str:
        mini = self._account.mini_app_id
        return mini if product == "mini_program" and mini else self._account.app_id

    def _until(self, payment: CreatePayment, life: timedelta) -> datetime | None:
        until = self._now() + life
        return until if until < payment.expires_at else None

    async def query(self, out_trade_no: str, *, provider_no: str | None = None) -> PaymentFact | None:
        """See `port.Gateway.query`."""
        target = f"id/{our_number(provider_no)}" if provider_no else f"out-trade-no/{our_number(out_trade_no)}"
        target = f"/v3/pay/transactions/{target}?mchid={self.merchant_id}"
        try:
            transaction = await self._ask(Transaction, "GET", target)
        except ChannelRefused as refusal:
            if refusal.reason_code == Reason.NOT_FOUND:
                return None
            raise
        told = transaction.transaction_id if provider_no else transaction.out_trade_no
        require_same(CHANNEL, told, provider_no or out_trade_no)
        return transaction.fact(event_id=None) if transaction.out_trade_no == out_trade_no else None

    async def close(self, out_trade_no: str) -> None:
        """See `port.Gateway.close`. WeChat Pay says yes for any number, also an unknown one: only the query decides."""
        target = f"/v3/pay/transactions/out-trade-no/{our_number(out_trade_no)}/close"
        try:
            await self._answer("POST", target, {"mchid": self.merchant_id})
        except ChannelRefused as refusal:
            if refusal.reason_code != Reason.ALREADY_CLOSED:
                raise
        fact = await self.query(out_trade_no)
        if fact is None:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.NOT_FOUND)
        if fact.state in {"paid", "refunded"}:
            raise ChannelRefused(channel=CHANNEL, reason_code=Reason.ALREADY_PAID)
        if fact.state != "closed":
            raise Unclear(channel=CHANNEL, detail="closed, and still open")

    # --- refunds -------------------------------------------------------------------------------------------

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """See `port.Gateway.refund`."""
        assert refund.total_fen is not None, "WeChat Pay compares the payment's amount"
        name = "transaction_id" if refund.provider_no else "out_trade_no"
        content: dict[str, object] = {
            name: our_number(refund.provider_no or refund.out_trade_no),
            "out_refund_no": our_number(refund.out_refund_no),
            "amount": {"refund": refund.amount_fen, "total": refund.total_fen, "currency": "CNY"},
        }
        if reason := plain(refund.reason, most_bytes=80):
            content["reason"] = reason
        if refund.notify_url is not None:
            content["notify_url"] = refund.notify_url
        done = await self._ask(Refund, "POST", "/v3/refund/domestic/refunds", content)
        asked = (refund.out_refund_no, done.out_trade_no if refund.provider_no else refund.out_trade_no)
        require_same(CHANNEL, (done.out_refund_no, done.out_trade_no, done.amount.refund), (*asked, refund.amount_fen))
        return done.fact()

    async def query_refund(
        self,
        out_refund_no: str,
        *,
        out_trade_no: str | None = None,
        provider_no: str | None = None,
    ) -> RefundFact | None:
        """See `port.Gateway.query_refund`."""
        try:
            refund = await self._ask(Refund, "GET", f"/v3/refund/domestic/refunds/{in_path(out_refund_no)}")
        except ChannelRefused as refusal:
            if refusal.reason_code == Reason.NOT_FOUND:
                return None
            raise
        payment = refund.out_trade_no if provider_no or not out_trade_no else out_trade_no
        require_same(CHANNEL, (refund.out_refund_no, refund.out_trade_no), (out_refund_no, payment))
        return refund.fact()

    # --- notifications -------------------------------------------------------------------------------------

    def verify_notify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact | RefundFact:
        """See `port.Gateway.verify_notify`."""
        try:
            self._keys.check(headers, body, now=self._now())
        except BadSignature as error:
            self._renewal_wanted |= error.reason == "unknown_key" and names_certificate(headers)
            raise
        try:
            notice = Notice.model_validate_json(body)
            clear = self._opened(notice.resource)
            if notice.event_type == "TRANSACTION.SUCCESS":
                return Transaction.model_validate_json(clear).fact(event_id=notice.id)
            return RefundTold.model_validate_json(clear).fact(event_id=notice.id)
        except ValidationError as error:
            raise MalformedNotice(reason=where(error)) from None  # the chained error would carry the values

    def verify_refund_notify(self, headers: Mapping[str, str], body: bytes) -> RefundFact:
        """See `port.Gateway.verify_refund_notify`."""
        return refund_alone(self.verify_notify(headers, body), told_by="event_type")

    def accepted(self) -> NoticeReply:
        """The answer that stops WeChat Pay from telling again."""
        return _ACCEPTED

    def refused(self, reason: str) -> NoticeReply:
        """Any 4xx or 5xx makes it tell again later."""
        status = {BadSignature.code: 401, UnopenableNotice.code: 500}.get(reason, 400)
        body = encode_json({"code": "FAIL", "message": reason})
        return NoticeReply(status=status, body=body, media_type="application/json")

    # --- bills and certificates ----------------------------------------------------------------------------

    async def download_bill(self, kind: BillKind, day: date) -> Bill | None:
        """See `port.Gateway.download_bill`. The file is unsigned: it must have the hash that was signed."""
        which = "tradebill" if kind == "trades" else "fundflowbill"
        choice = "bill_type=ALL" if kind == "trades" else "account_type=BASIC"
        target = f"/v3/bill/{which}?bill_date={day.isoformat()}&{choice}&tar_type=GZIP"
        try:
            ready = await self._ask(BillReady, "GET", target)
        except ChannelRefused as refusal:
            if refusal.reason_code in NO_BILL:
                return None
            raise
        content = await self._download(ready.download_url)
        try:
            hashes = sha1s(content)
        except CutOffBill as damaged:
            raise DamagedBill(channel=CHANNEL, detail=f"bill damaged: {damaged.reason}") from None
        if hashes != [ready.hash_value.lower()]:
            raise DamagedBill(channel=CHANNEL, detail="bill has another hash")
        return Bill(CHANNEL, kind, day, name=f"{self.merchant_id}_{kind}_{day:%Y%m%d}.csv.gz", content=content)

    async def _download(self, url: str) -> bytes:
        """The file behind a signed address, at WeChat Pay's own hosts only: our signature goes nowhere else."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" not in {origin for origin, _ in self._hosts}:
            raise ChannelUnknown(channel=CHANNEL, detail="bill at a foreign address")
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            reply = await self._downloads.exchange("GET", url, headers=self._signed("GET", target, b""))
        except Unanswered as error:
            raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"bill answered status {reply.status}")
        return reply.body

    @property
    def believes_certificates(self) -> bool:
        """Whether platform certificates are among the keys we were given; else there are none to renew."""
        return bool(self._account.certificates_pem)

    async def renew(self) -> tuple[bytes, ...]:
        """Fetch the platform certificates, believe them from now on, keep and answer their PEM.

        They come sealed with our APIv3 key, which vouches for them, and the answer must be signed by one of them or by
        a key that we held. Not for the way of a notification: a forged one could make us ask. Raises as any call.
        """
        reply = await self._exchange("GET", "/v3/certificates", None)
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}")
        try:
            listed = Certificates.model_validate_json(reply.body).data
            fetched = tuple(self._opened(one.encrypt_certificate) for one in listed)
            keys = self._keys.joined(fetched)
            keys.check(reply.headers, reply.body, now=self._now())
        except BadSignature as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer {error.reason}") from error
        except (ValidationError, UnopenableNotice, ValueError):
            raise ChannelUnknown(channel=CHANNEL, detail="answer malformed at certificates") from None
        self._keys = keys
        self._keep(fetched)
        return fetched

    async def renew_if_wanted(self) -> bool:
        """Fetch the certificates when somebody signed with one that we do not hold, at most every ten minutes.

        Called beside the requests, again and again, never inside a notification's. Whether new ones came.
        """
        if not self._renewal_wanted:
            return False
        if self._renewed_at is not None and abs(self._now() - self._renewed_at) < RENEW_AFTER:
            return False
        self._renewed_at, self._renewal_wanted = self._now(), False
        try:
            await self.renew()
        except ChannelUnknown as error:
            _log.warning("certificates were not renewed", extra={"channel": CHANNEL, "why": error.detail})
            return False
        return True

    async def _check(self, reply: Reply) -> None:
        """Raise BadSignature unless WeChat Pay signed the answer; a new certificate is fetched first."""
        try:
            self._keys.check(reply.headers, reply.body, now=self._now())
        except BadSignature as error:
            self._renewal_wanted |= error.reason == "unknown_key" and names_certificate(reply.headers)
            if not await self.renew_if_wanted():
                raise
            self._keys.check(reply.headers, reply.body, now=self._now())

    # --- asking --------------------------------------------------------------------------------------------

    def _opened(self, sealed: Sealed) -> bytes:
        return open_resource(
            self._openers,
            nonce=sealed.nonce,
            associated_data=sealed.associated_data or "",
            ciphertext=sealed.ciphertext,
        )

    async def _ask(self, answer: type[W], method: str, target: str, content: Mapping[str, object] | None = None) -> W:
        body = await self._answer(method, target, content)
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer malformed at {where(error)}") from None

    async def _answer(self, method: str, target: str, content: Mapping[str, object] | None) -> bytes:
        """The body of a signed yes. Anything else than a signed yes or no leaves the outcome unknown."""
        reply = await self._exchange(method, target, content)
        if reply.status >= 500:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}")
        code = Refusal.code_of(reply.status, reply.body)
        try:
            await self._check(reply)
        except BadSignature as error:
            said = f"answer {error.reason}, status {reply.status}" + (f", {code}" if code else "")
            raise ChannelUnknown(channel=CHANNEL, detail=said) from error
        if reply.status < 300:
            return reply.body
        if code is None or code in UNKNOWN_REASONS:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}" + (f", {code}" if code else ""))
        raise ChannelRefused(channel=CHANNEL, reason_code=REASONS.get(code, code))

    async def _exchange(self, method: str, target: str, content: Mapping[str, object] | None) -> Reply:
        body = b"" if content is None else encode_json(content)
        is_spare_first = self._now() < self._spare_until <= self._now() + SPARE_FIRST
        hosts = self._hosts[::-1] if is_spare_first else self._hosts
        for host in hosts:
            try:
                reply = await self._send(host, method, target, body)
            except Unanswered as error:
                if error.reason in NOT_SENT and host != hosts[-1]:
                    continue
                raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
            if host != hosts[0]:
                self._spare_until = self._now() + (timedelta(0) if host == self._hosts[0] else SPARE_FIRST)
            return reply
        raise AssertionError("there is at least one host")

    async def _send(self, host: tuple[str, str], method: str, target: str, body: bytes) -> Reply:
        origin, path = host
        headers = self._signed(method, path + target, body)
        return await self._outbound.exchange(method, origin + path + target, headers=headers, body=body)

    def _signed(self, method: str, target: str, body: bytes) -> dict[str, str]:
        timestamp, nonce = int(self._now().timestamp()), self._nonce()
        headers = {
            "Accept": "application/json",
            "Authorization": self._signer.authorization(method, target, body, timestamp=timestamp, nonce=nonce),
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self._account.public_key_id is not None:
            headers["Wechatpay-Serial"] = self._account.public_key_id  # else the answer is signed with a certificate
        return headers
