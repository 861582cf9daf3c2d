"""What the buyer sees: the payment page, its result, and the fault panel of testers. No script, no cookie.

`POST /pay/{token}` with `action=pay|cancel|resend` always ends in a 303 to the result page. The fault fields
(`fault_drop`, `fault_signature` = 1; `fault_copies` 1..20; `fault_amount_fen`; `fault_delay_seconds`,
`fault_settle_seconds`, `fault_answer_seconds`, `fault_refund_seconds`) may be left out or empty. Programs that drive
the sandbox post the same form. Wired by `app.py`; a 303 after paying is sent only after the store committed.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.sandbox.keys import MerchantRegister
from server.sandbox.moments import beijing, now_ms
from server.sandbox.notify import Notifier
from server.sandbox.protocol import LARGEST_AMOUNT_FEN, payment_announcement
from server.sandbox.records import Acceptance, NewNotification, Notification, Payment
from server.sandbox.store import Store
from server.sandbox.web import PAGE_HEADERS, BodyTooLarge, read_body, reader_language
from server.sandbox.words import sentence

LARGEST_FORM_BYTES = 8_192
MOST_COPIES = 20
LONGEST_DELAY_SECONDS = 86_400
LONGEST_ANSWER_DELAY_SECONDS = 120
_SECONDS = re.compile(r"(\d{1,5})(?:\.(\d{1,3}))?")
_WHOLE = re.compile(r"\d{1,12}")
_TEMPLATES = Path(__file__).parent / "templates"


class BadField(Exception):
    """A form field is out of range; its name is a key of `words.SENTENCES`."""

    def __init__(self, field: str) -> None:
        """Keep the field's name."""
        super().__init__(field)
        self.field = field


@dataclass(frozen=True, slots=True)
class Faults:
    """What should go wrong with one payment; the defaults are a payment on which nothing goes wrong."""

    drop: bool = False
    wrong_signature: bool = False
    copies: int = 1
    delay_ms: int = 0
    claimed_amount_fen: int | None = None
    settle_ms: int = 0
    answer_ms: int = 0
    refund_ms: int = 0


def read_faults(form: dict[str, str]) -> Faults:
    """Read the fault panel. Raises BadField for a value out of range."""
    return Faults(
        drop=_ticked(form, "fault_drop"),
        wrong_signature=_ticked(form, "fault_signature"),
        copies=_whole(form, "fault_copies", lowest=1, highest=MOST_COPIES) or 1,
        delay_ms=_milliseconds(form, "fault_delay_seconds", longest_seconds=LONGEST_DELAY_SECONDS),
        claimed_amount_fen=_whole(form, "fault_amount_fen", lowest=0, highest=LARGEST_AMOUNT_FEN),
        settle_ms=_milliseconds(form, "fault_settle_seconds", longest_seconds=LONGEST_DELAY_SECONDS),
        answer_ms=_milliseconds(form, "fault_answer_seconds", longest_seconds=LONGEST_ANSWER_DELAY_SECONDS),
        refund_ms=_milliseconds(form, "fault_refund_seconds", longest_seconds=LONGEST_DELAY_SECONDS),
    )


def _ticked(form: dict[str, str], field: str) -> bool:
    value = form.get(field, "")
    if value not in ("", "1"):
        raise BadField(field)
    return value == "1"


def _whole(form: dict[str, str], field: str, *, lowest: int, highest: int) -> int | None:
    text = form.get(field, "").strip()
    if not text:
        return None
    if not _WHOLE.fullmatch(text) or not lowest <= int(text) <= highest:
        raise BadField(field)
    return int(text)


def _milliseconds(form: dict[str, str], field: str, *, longest_seconds: int) -> int:
    text = form.get(field, "").strip()
    if not text:
        return 0
    matched = _SECONDS.fullmatch(text)
    if not matched:
        raise BadField(field)
    milliseconds = int(matched.group(1)) * 1000 + int((matched.group(2) or "").ljust(3, "0"))
    if milliseconds > longest_seconds * 1000:
        raise BadField(field)
    return milliseconds


def yuan(amount_fen: int) -> str:
    """Write an amount for people: 1234567 fen is `12,345.67`."""
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"


class Pages:
    """The buyer's pages, over one store and one notifier."""

    def __init__(self, *, store: Store, merchants: MerchantRegister, notifier: Notifier, base_url: str) -> None:
        """`base_url` may have a path, when a proxy serves the sandbox below one; links then start with it."""
        self._store = store
        self._merchants = merchants
        self._notifier = notifier
        self._root = urlsplit(base_url).path
        self._style = (_TEMPLATES / "pay.css").read_bytes()
        self._style_path = f"/assets/pay-{hashlib.sha256(self._style).hexdigest()[:12]}.css"
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        self._templates.filters["yuan"] = yuan
        self._templates.filters["beijing"] = beijing

    def routes(self) -> list[Route]:
        """Return the addresses of the pages and of their one style sheet."""
        return [
            Route("/pay/{token}", self.show, methods=["GET"]),
            Route("/pay/{token}", self.submit, methods=["POST"]),
            Route("/pay/{token}/result", self.show_result, methods=["GET"]),
            Route(self._style_path, self.show_style, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Ask for the payment; once there is nothing left to ask, lead to the result."""
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self.problem(request, 404, "not_found")
        if payment.state_at(now_ms()) != "pending":
            return self._to_result(payment)
        return self._page(
            request,
            "pay.html",
            payment=payment,
            merchant_name=self._merchant_name(payment),
            most_copies=MOST_COPIES,
            longest_delay_seconds=LONGEST_DELAY_SECONDS,
            longest_answer_delay_seconds=LONGEST_ANSWER_DELAY_SECONDS,
            largest_amount_fen=LARGEST_AMOUNT_FEN,
        )

    async def submit(self, request: Request) -> Response:
        """Pay, cancel (nothing changes: the buyer may come back), or send the callback once more."""
        try:
            body = await read_body(request, largest_bytes=LARGEST_FORM_BYTES)
            form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=32))
        except BodyTooLarge:
            return self.problem(request, 413, "bad_form", field="-")
        except ValueError:
            return self.problem(request, 400, "bad_form", field="-")
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self.problem(request, 404, "not_found")

        action = form.get("action", "")
        try:
            if action == "pay":
                self._pay(payment, read_faults(form))
            elif action == "resend":
                self._resend(payment)
            elif action != "cancel":
                return self.problem(request, 400, "bad_form", field="action")
        except BadField as bad:
            return self.problem(request, 400, "bad_form", field=sentence(bad.field, reader_language(request)))
        return self._to_result(payment)

    async def show_result(self, request: Request) -> Response:
        """Say how the payment stands, lead back to the merchant, and show testers the deliveries."""
        payment = self._store.payment_by_token(request.path_params["token"])
        if payment is None:
            return self.problem(request, 404, "not_found")
        return self._page(
            request,
            "result.html",
            payment=payment,
            state=payment.state_at(now_ms()),
            merchant_name=self._merchant_name(payment),
            refunded_fen=self._store.refunded_fen(payment),
            deliveries=self._store.notifications_of(payment),
        )

    async def show_style(self, _request: Request) -> Response:
        """Serve the style sheet; its address changes with its content, so browsers may keep it for good."""
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(self._style, media_type="text/css", headers=headers)

    def problem(self, request: Request, status: int, about: str, **values: object) -> Response:
        """Return a page that says what is wrong: `title_<about>` and `about_<about>` of `words.SENTENCES`."""
        explanation = sentence(f"about_{about}", reader_language(request), **values)
        return self._page(request, "problem.html", status=status, about=about, explanation=explanation)

    def _pay(self, payment: Payment, faults: Faults) -> None:
        """Accept the payment with what should go wrong; a no-op when it is no longer open."""
        now = now_ms()
        paid_at_ms = now + faults.settle_ms
        trade_no = f"SP{now}{secrets.randbelow(10**8):08d}"
        payer = f"sandbox-buyer-{secrets.token_hex(4)}"
        event_id = f"EV{secrets.token_hex(15)}"
        body = payment_announcement(
            payment,
            event_id=event_id,
            trade_no=trade_no,
            payer=payer,
            paid_at_ms=paid_at_ms,
            amount_fen=payment.amount_fen if faults.claimed_amount_fen is None else faults.claimed_amount_fen,
        )
        notifications = [
            NewNotification(
                event_id=event_id,
                copy=copy,
                url=payment.notify_url,
                body=body,
                wrongly_signed=faults.wrong_signature,
                dropped=faults.drop,
                due_at_ms=paid_at_ms + faults.delay_ms,
            )
            for copy in range(1, faults.copies + 1)
        ]
        acceptance = Acceptance(
            trade_no=trade_no,
            payer=payer,
            paid_at_ms=paid_at_ms,
            answer_delay_ms=faults.answer_ms,
            refund_delay_ms=faults.refund_ms,
        )
        if self._store.accept_payment(payment, acceptance, notifications=notifications, now_ms=now):
            self._notifier.wake()

    def _resend(self, payment: Payment) -> None:
        """Queue one more, correct copy of what the merchant should know; a no-op while the payment is not paid."""
        now = now_ms()
        sent: list[Notification] = self._store.notifications_of(payment)
        if payment.state_at(now) != "paid" or not sent or len(sent) >= 10 * MOST_COPIES:
            return
        assert payment.trade_no is not None
        assert payment.payer is not None
        assert payment.paid_at_ms is not None
        event_id = sent[0].event_id
        body = payment_announcement(
            payment,
            event_id=event_id,
            trade_no=payment.trade_no,
            payer=payment.payer,
            paid_at_ms=payment.paid_at_ms,
            amount_fen=payment.amount_fen,
        )
        again = NewNotification(
            event_id=event_id,
            copy=sent[-1].copy + 1,
            url=payment.notify_url,
            body=body,
            wrongly_signed=False,
            dropped=False,
            due_at_ms=now,
        )
        self._store.add_notification(payment, again)
        self._notifier.wake()

    def _merchant_name(self, payment: Payment) -> str:
        merchant = self._merchants.find(payment.merchant_id)
        return merchant.name if merchant else payment.merchant_id

    def _to_result(self, payment: Payment) -> Response:
        return RedirectResponse(f"{self._root}/pay/{payment.token}/result", status_code=303, headers=PAGE_HEADERS)

    def _page(self, request: Request, template: str, *, status: int = 200, **facts: object) -> Response:
        language = reader_language(request)
        html = self._templates.get_template(template).render(
            t=partial(_say, language),
            language="en" if language == "en" else "zh-CN",
            root=self._root,
            style_url=self._root + self._style_path,
            **facts,
        )
        headers = {**PAGE_HEADERS, "Content-Language": "en" if language == "en" else "zh-CN"}
        return Response(html, status_code=status, media_type="text/html", headers=headers)


def _say(language: str, key: str, **values: object) -> str:
    return sentence(key, "en" if language == "en" else "zh", **values)
