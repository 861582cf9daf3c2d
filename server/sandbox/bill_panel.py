"""Bills for testers: a page and an API to see a day's lines, plant differences in them, and take the files away.

    GET    /bills?merchant=CHANNEL/ID&day=2026-11-22   the page; its forms post back to it
    GET    /bills/CHANNEL/ID/2026-11-22/trades         the file as the channel gives it; `funds` for the account's
    GET    /api/bills                 of `channel`, `merchant_id`, `day` in the query: {"lines", "differences"}
    POST   /api/bill-differences      {"channel", "merchant_id", "kind", "number", and where the kind needs them
                                      "amount_fen", "day"}: 201 and the difference; 400 when it makes no sense
    DELETE /api/bill-differences      204: all of them end; one with /api/bill-differences/{id}

The kinds are those of `bills.Difference`. The files here are of any day, also of today, whether or not a merchant may
have them yet. Nothing is signed or asks who calls: the sandbox listens on loopback. Wired by `app.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.sandbox.alipay_bills import bill_of
from server.sandbox.alipay_trades import CHANNEL as ALIPAY
from server.sandbox.bill_days import BillDays, BillOfDay, Planted
from server.sandbox.bills import BillLine, Difference, DifferenceKind, FieldWanted, NoSuchLine
from server.sandbox.bills_alipay import file_name
from server.sandbox.bills_wechat import fund_flow_bill, trade_bill
from server.sandbox.engine import Engine
from server.sandbox.fault_facts import LARGEST_AMOUNT_FEN
from server.sandbox.moments import BEIJING, rfc3339
from server.sandbox.rendering import Rendering, in_language
from server.sandbox.web import BodyTooLarge, NotUnderstood, read_form, read_json, reader_language, refuse_json
from server.sandbox.wechat_wire import CHANNEL as WECHAT

KINDS: tuple[DifferenceKind, ...] = get_args(DifferenceKind)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of one channel and kind: its name and its content, None when nothing moved."""

    name: Callable[[str, date], str]
    content: Callable[[BillOfDay, str, date], bytes | None]


_FILES: Mapping[tuple[str, str], _File] = {
    (WECHAT, "trades"): _File(
        lambda mchid, day: f"{mchid}_ALL_{day:%Y%m%d}.csv",
        lambda of_day, mchid, _day: trade_bill(of_day.lines, merchant_id=mchid, bill_type="ALL"),
    ),
    (WECHAT, "funds"): _File(
        lambda mchid, day: f"{mchid}_BASIC_{day:%Y%m%d}.csv",
        lambda of_day, mchid, _day: fund_flow_bill(
            [*of_day.lines, *of_day.withdrawals], merchant_id=mchid, opening_fen=of_day.opening_fen
        ),
    ),
    (ALIPAY, "trades"): _File(
        lambda seller, day: file_name(seller_id=seller, day=day, bill_type="trade"),
        lambda of_day, seller, day: bill_of(of_day, seller, "trade", day),
    ),
    (ALIPAY, "funds"): _File(
        lambda seller, day: file_name(seller_id=seller, day=day, bill_type="signcustomer"),
        lambda of_day, seller, day: bill_of(of_day, seller, "signcustomer", day),
    ),
}
_CHANNELS = frozenset(channel for channel, _ in _FILES)


class PlantDifference(BaseModel):
    """`POST /api/bill-differences`, and the page's form."""

    model_config = ConfigDict(extra="forbid")

    channel: str
    merchant_id: str
    kind: DifferenceKind
    number: Annotated[str, Field(min_length=1, max_length=64)]
    amount_fen: Annotated[int | None, Field(ge=0, le=LARGEST_AMOUNT_FEN)] = None
    day: date | None = None


class BillPanel:
    """The page and the API, over one engine."""

    def __init__(self, engine: Engine, rendering: Rendering) -> None:
        """Show and change the bills of `engine`'s merchants."""
        self._engine = engine
        self._days = BillDays(engine)
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/bills", self._show, methods=["GET"]),
            Route("/bills", self._submit, methods=["POST"]),
            Route("/bills/{channel}/{merchant_id}/{day}/{kind}", self._file, methods=["GET"]),
            Route("/api/bills", self._list, methods=["GET"]),
            Route("/api/bill-differences", self._plant_json, methods=["POST"]),
            Route("/api/bill-differences", self._take_back, methods=["DELETE"]),
            Route("/api/bill-differences/{planted_id:int}", self._take_back, methods=["DELETE"]),
        ]

    # The API

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        channel, merchant_id = asked.get("channel", ""), asked.get("merchant_id", "")
        day = _day(asked.get("day", ""))
        if day is None:
            return refuse_json("day")
        return JSONResponse(
            {
                "lines": [_shown_line(line) for line in self._days.of(channel, merchant_id, day).lines],
                "differences": [_shown(one) for one in self._planted(channel, merchant_id)],
            }
        )

    async def _plant_json(self, request: Request) -> Response:
        try:
            planted = self._plant(await read_json(request, PlantDifference))
        except NotUnderstood as error:
            return refuse_json(error.what)
        return JSONResponse(_shown(planted), 201)

    async def _take_back(self, request: Request) -> Response:
        self._days.take_back(request.path_params.get("planted_id"))
        return Response(status_code=204)

    def _plant(self, wanted: PlantDifference) -> Planted:
        """Plant a difference. Raises NotUnderstood."""
        if wanted.channel not in _CHANNELS:
            raise NotUnderstood("channel")
        if wanted.channel == ALIPAY and wanted.kind == "state":
            raise NotUnderstood("kind")  # its bills name no state
        try:
            difference = Difference(
                kind=wanted.kind, number=wanted.number, amount_fen=wanted.amount_fen, day=wanted.day
            )
            return self._days.plant(wanted.channel, wanted.merchant_id, difference)
        except FieldWanted as missing:
            raise NotUnderstood(missing.name) from None
        except NoSuchLine:
            raise NotUnderstood("number") from None

    def _planted(self, channel: str, merchant_id: str) -> list[Planted]:
        return [one for one in self._days.planted() if (one.channel, one.merchant_id) == (channel, merchant_id)]

    # The files

    async def _file(self, request: Request) -> Response:
        channel, merchant_id, kind = (request.path_params[name] for name in ("channel", "merchant_id", "kind"))
        file, day = _FILES.get((channel, kind)), _day(request.path_params["day"])
        if file is None or day is None:
            return self._rendering.problem(request, 404, "no_bill")
        content = file.content(self._days.of(channel, merchant_id, day), merchant_id, day)
        if content is None:
            return self._rendering.problem(request, 404, "no_bill")
        headers = {"Content-Disposition": f'attachment; filename="{file.name(merchant_id, day)}"'}
        return Response(content, headers=headers, media_type="application/octet-stream")

    # The page

    async def _show(self, request: Request) -> Response:
        merchants = self._merchants(request)
        chosen = request.query_params.get("merchant", merchants[0][0] if merchants else "")
        day = _day(request.query_params.get("day", "")) or datetime.now(BEIJING).date()
        channel, _, merchant_id = chosen.partition("/")
        return self._rendering.page(
            request,
            "bills.html",
            merchants=merchants,
            chosen=chosen,
            day=day.isoformat(),
            lines=self._days.of(channel, merchant_id, day).lines,
            planted=self._planted(channel, merchant_id),
            kinds=[kind for kind in KINDS if (channel, kind) != (ALIPAY, "state")],
        )

    async def _submit(self, request: Request) -> Response:
        try:
            form = await read_form(request)
            self._act(form)
        except (NotUnderstood, BodyTooLarge, ValueError) as error:
            field = error.what if isinstance(error, NotUnderstood) else "-"
            return self._rendering.problem(request, 400, "bad_form", field=field)
        day = _day(form.get("day", "")) or datetime.now(BEIJING).date()
        return self._rendering.go_to(f"/bills?merchant={form['merchant']}&day={day.isoformat()}")

    def _act(self, form: dict[str, str]) -> None:
        """Do what a button says. Raises NotUnderstood or ValueError."""
        action, merchant = form.get("action", ""), form.get("merchant", "")
        if merchant not in {f"{channel}/{one}" for channel, one, _ in self._listed()}:
            raise NotUnderstood("merchant")
        channel, _, merchant_id = merchant.partition("/")
        if action == "plant":
            fields: dict[str, Any] = {name: form[name] for name in ("amount_fen", "day") if form.get(name)}
            asked = {"channel": channel, "merchant_id": merchant_id, "kind": form.get("kind"), **fields}
            self._plant(PlantDifference.model_validate(asked | {"number": form.get("number", "").strip()}))
        elif action == "end":
            self._days.take_back(int(form.get("id", "")))
        else:
            raise NotUnderstood("action")

    def _merchants(self, request: Request) -> list[tuple[str, str]]:
        language = reader_language(request)
        dialects = self._engine.dialects
        return [
            (f"{channel}/{merchant_id}", f"{in_language(language, dialects[channel].label)} · {name}")
            for channel, merchant_id, name in self._listed()
        ]

    def _listed(self) -> list[tuple[str, str, str]]:
        """Every merchant of a channel that makes bills."""
        return [
            (dialect.channel, one.merchant_id, one.name)
            for dialect in self._engine.dialects.values()
            if dialect.channel in _CHANNELS
            for one in dialect.merchants()
        ]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _shown_line(line: BillLine) -> dict[str, object]:
    return {
        "kind": line.kind,
        "at": rfc3339(line.at_ms),
        "number": line.number,
        "provider_no": line.provider_no,
        "amount_fen": line.sign * line.amount_fen,
        "fee_fen": line.sign * line.fee_fen,
    }


def _shown(planted: Planted) -> dict[str, object]:
    difference = planted.difference
    facts = {"kind": difference.kind, "number": difference.number, "amount_fen": difference.amount_fen}
    owner = {"id": planted.id, "channel": planted.channel, "merchant_id": planted.merchant_id}
    return owner | facts | {"day": difference.day.isoformat() if difference.day else None}
