"""Callbacks: WeChat Pay's notifications of paid orders, from the first byte sent to the acknowledgement.

Ours: the real server process with its defaults on a database that flushes at each commit. The orders were placed
before; their notifications are sealed and signed before the clock starts, by WeChat Pay's rules and not by our code.
The floor verifies, opens and writes the same rows by bare Starlette and the driver (see _callback_floor). Levels take
turns, ours and the floor; figures are medians over the rounds.

    paced   200 callbacks a second, come what may: each payment is told ten times; the time counts from when it was due
    flat    32 connections without a pause, each payment told ten times, its copies close together
    fresh   the same, each payment told once: every callback sells, delivers and posts

`doubled` counts deliveries beyond one an order, `lost` paid orders without one, callbacks that were not acknowledged,
and findings of the invariant check.
"""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from server import invariants
from server.db import Database
from server.gateways.setup import merged
from server.orders.actions import PlaceOrder
from server.orders.model import Order
from server.payments.model import PaymentCallback
from server.stock.model import Delivery
from shared import ids
from shared.states import OrderState
from tests import engines
from tests.bench import _figures, _shop
from tests.bench._wire import Line
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.wechat_pay import API_V3_KEY, MERCHANT_SERIAL, PAID, PUBLIC_KEY_ID, WechatPay
from tests.world import World

SKU, AMOUNT_FEN = "STEAM-50", 4_500
FLOOR = "tests.bench._callback_floor"
TOLD = PAID | {"mchid": "9000000109"}
"""A merchant of the sandbox's: a shop for play has no other."""

COPIES, PACE, CONNECTIONS = 10, 200, 32
NEAR = 40
"""Copies of so many payments are shuffled with one another."""

WARM_PAYMENTS = 200
PLACED_AT_ONCE = 256
LONGEST_SECONDS = 120
"""A level that takes longer has stopped."""

Message = tuple[str, bytes]


def main() -> int:
    """Measure and print."""
    options = _figures.parser(__doc__)
    options.add_argument("--engine", choices=(*engines.KINDS, "both"), default="both")
    options.add_argument("--seconds", type=float, default=8.0, help="of the paced level in each round")
    options.add_argument("--rows", type=int, default=600, help="payments of the flat level in each round")
    options.add_argument("--rounds", type=int, default=2)
    given = options.parse_args()
    kinds = ("sqlite", "postgres") if given.engine == "both" else (given.engine,)
    peaks: dict[str, float] = {}
    with _shop.durable_engines() as scratch:
        runs = [run for kind in kinds for run in _measure(kind, scratch / kind, given, peaks)]
    head = next(run for run in runs if run["level"] == "flat")
    paced = next(run for run in runs if run["level"] == "paced")
    total = {name: sum(run[name] for run in runs) for name in _figures.CORRECTNESS}
    paced_p99 = {"paced_p99_ms": paced["p99_ms"]}
    return _figures.finish({"name": "callbacks", **head, **paced_p99, **total, "peak_mib": peaks, "runs": runs})


# --- the orders and what is told of them ---


@dataclass
class Side:
    """Ours or the floor: its orders that are not told of yet, and the channel that tells."""

    shop: _shop.Shop
    wechat: WechatPay
    numbers: deque[str] = field(default_factory=deque)
    told: int = 0
    unacknowledged: int = 0

    def messages(self, payments: int, copies: int) -> list[Message]:
        """The notifications of the next payments, signed now: the ten of a payment are the same bytes."""
        chance, found = random.Random(payments), []
        for start in range(0, payments, NEAR):
            some = [self._message() for _ in range(min(NEAR, payments - start))] * copies
            chance.shuffle(some)
            found += some
        self.told += payments
        return found

    def _message(self) -> Message:
        number, now = self.numbers.popleft(), datetime.now(UTC).replace(microsecond=0)
        paid = {
            "out_trade_no": number,
            "transaction_id": f"42000{number[-23:]}",
            "success_time": now.isoformat(),
            "amount": {"total": AMOUNT_FEN, "payer_total": AMOUNT_FEN, "currency": "CNY", "payer_currency": "CNY"},
        }
        envelope = json.loads(self.wechat.notice(TOLD | paid)) | {"id": f"EV-{number[-30:]}"}
        body = json.dumps(envelope, ensure_ascii=False).encode()
        signed = self.wechat.signed(body, at=now)
        head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"Content-Type: application/json\r\n{head}", body


def _prepared(kind: engines.Kind, folder: Path, count: int) -> Side:
    """A shop with so many orders that wait for money at WeChat Pay."""
    numbers: list[str] = []
    shop = _shop.prepared(kind, folder, lambda world: numbers.extend(asyncio.run(_place(world, count))))
    wechat = WechatPay()
    given = {
        "merchant_id": TOLD["mchid"],
        "app_id": TOLD["appid"],
        "merchant_serial": MERCHANT_SERIAL,
        "private": pem_of(wechat.certificate_key).decode(),  # no call is signed with it here
        "api_v3_key": API_V3_KEY.decode(),
        "public_key_id": PUBLIC_KEY_ID,
        "public": public_pem_of(wechat.key).decode(),
    }
    shop.keys.change_channel("wechat", partial(merged, "wechat", given=given))
    shop.environment["KAMENG_SANDBOX_URL"] = "http://127.0.0.1:9"  # nobody is asked anything here
    return Side(shop, wechat, deque(numbers))


async def _place(world: World, count: int) -> list[str]:
    world.stock(SKU, count)
    numbers: list[str] = []
    for start in range(0, count, PLACED_AT_ONCE):
        some = range(min(PLACED_AT_ONCE, count - start))
        placed = await asyncio.gather(*(world.ctx.batch.submit(_order()) for _ in some))
        numbers += [one.attempt.out_trade_no for one in placed]
    return numbers


def _order() -> PlaceOrder:
    return PlaceOrder(
        buyer_id=ids.new_id(),
        idempotency_key=ids.new_token(),
        sku=SKU,
        quantity=1,
        amount_fen=AMOUNT_FEN,
        channel="wechat",
    )


# --- telling ---


@dataclass
class Heard:
    """What one level of one side came to."""

    seconds: list[float] = field(default_factory=list)
    took: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Acknowledged callbacks, by the clock."""
        return len(self.seconds) / self.took

    @property
    def cpu_us(self) -> float:
        """What the server's process used of a processor for each: the figure that a busy machine changes least."""
        return self.cpu_seconds / len(self.seconds) * 1e6


class Teller:
    """Kept connections to one server."""

    def __init__(self, side: Side, served: _shop.Served) -> None:
        self.side, self._served = side, served
        self._idle: list[Line] = []

    async def level(self, how: "Level") -> Heard:
        """Tell of the next payments in this way."""
        messages = self.side.messages(how.payments, how.copies)
        used = _figures.cpu_seconds(self._served.process.pid)
        async with asyncio.timeout(LONGEST_SECONDS):
            heard = await how.tell(self, messages)
        heard.cpu_seconds = _figures.cpu_seconds(self._served.process.pid) - used
        self._hang_up()
        return heard

    async def paced(self, messages: Sequence[Message]) -> Heard:
        """Send each when it is due, whatever became of those before."""
        heard, started = Heard(), time.perf_counter()

        async def at(due: float, message: Message) -> None:
            await asyncio.sleep(due - time.perf_counter())
            await self._tell(message)
            heard.seconds.append(time.perf_counter() - due)

        await asyncio.gather(*(at(started + n / PACE, message) for n, message in enumerate(messages)))
        heard.took = time.perf_counter() - started
        return heard

    async def flat_out(self, messages: Sequence[Message]) -> Heard:
        """Send the next one as soon as one is acknowledged, over so many connections."""
        heard, left = Heard(), deque(messages)
        started = time.perf_counter()

        async def keep_on() -> None:
            while left:
                message, sent = left.popleft(), time.perf_counter()
                await self._tell(message)
                heard.seconds.append(time.perf_counter() - sent)

        await asyncio.gather(*(keep_on() for _ in range(CONNECTIONS)))
        heard.took = time.perf_counter() - started
        return heard

    async def _tell(self, message: Message) -> None:
        line = self._idle.pop() if self._idle else await Line.to(self._served.port)
        answer = await line.ask("POST", "/pay/wechat/notify", *message)
        self._idle.append(line)
        self.side.unacknowledged += answer.status != 200

    def _hang_up(self) -> None:
        """A server does it too, on lines that were silent for some seconds."""
        for line in self._idle:
            line.close()
        self._idle.clear()


# --- levels ---


@dataclass(frozen=True)
class Level:
    """How many payments are told of how often, and how."""

    payments: int
    copies: int
    tell: Callable[[Teller, list[Message]], Awaitable[Heard]]


def _measure(kind: engines.Kind, folder: Path, given: Any, peaks: dict[str, float]) -> list[dict[str, Any]]:
    """All rounds of one engine; ours and the floor each on a shop of their own, with the same orders."""
    levels = {
        "paced": Level(int(given.seconds * PACE / COPIES), COPIES, Teller.paced),
        "flat": Level(given.rows, COPIES, Teller.flat_out),
        "fresh": Level(given.rows * 2, 1, Teller.flat_out),
    }
    count = WARM_PAYMENTS + given.rounds * sum(level.payments for level in levels.values())
    sides = {name: _prepared(kind, folder / name, count) for name in ("floor", "ours")}
    with _shop.serving(sides["ours"].shop) as ours, _shop.serving(sides["floor"].shop, module=FLOOR) as floor:
        tellers = {"floor": Teller(sides["floor"], floor), "ours": Teller(sides["ours"], ours)}
        found = asyncio.run(_rounds(kind, tellers, levels, rounds=given.rounds))
    peaks[f"server_{kind}"] = ours.peak_mib
    proof = _prove(sides["ours"])
    for side in sides.values():
        engines.drop(side.shop.database_url)
    return [_told(kind, level, found["ours", level], found["floor", level], proof) for level in levels]


async def _rounds(
    kind: str, tellers: dict[str, Teller], levels: dict[str, Level], *, rounds: int
) -> dict[tuple[str, str], list[Heard]]:
    found: dict[tuple[str, str], list[Heard]] = defaultdict(list)
    for teller in tellers.values():
        await teller.level(Level(WARM_PAYMENTS, 1, Teller.flat_out))
    for _ in range(rounds):
        for level, how in levels.items():
            for name, teller in tellers.items():
                heard = await teller.level(how)
                found[name, level].append(heard)
                p99 = _figures.quantile_ms(heard.seconds, 0.99)
                _figures.say(f"{kind} {name} {level}: {heard.per_second:.0f}/s, {heard.cpu_us:.0f} us, p99 {p99} ms")
    return found


def _prove(side: Side) -> dict[str, int]:
    """Hold what was told and the database against each other. The server has stopped."""
    database = Database(side.shop.database_url)
    with database.read() as tx:
        deliveries = tx.scalar(select(func.count()).select_from(Delivery)) or 0
        kept = tx.scalar(select(func.count()).select_from(PaymentCallback)) or 0
        delivered = tx.scalar(select(func.count()).where(Order.state == OrderState.DELIVERED.value)) or 0
    report = invariants.check(database)
    database.close()
    for finding in report.findings:
        _figures.say(f"{finding.invariant}: {finding.sentence}")
    return {
        "oversold": max(0, delivered - side.told),
        "doubled": max(0, deliveries - side.told) + max(0, kept - side.told),
        "lost": abs(side.told - delivered) + side.unacknowledged + len(report.findings),
    }


def _told(kind: str, level: str, ours: list[Heard], floors: list[Heard], proof: dict[str, int]) -> dict[str, Any]:
    seconds = [one for heard in ours for one in heard.seconds]
    floor_seconds = [one for heard in floors for one in heard.seconds]
    pairs = zip(floors, ours, strict=True)
    return {
        "engine": kind,
        "level": level,
        "n": len(seconds),
        "per_second": _figures.median([one.per_second for one in ours], digits=1),
        "p50_ms": _figures.quantile_ms(seconds, 0.5),
        "p99_ms": _figures.quantile_ms(seconds, 0.99),
        "floor_per_second": _figures.median([one.per_second for one in floors], digits=1),
        "floor_p99_ms": _figures.quantile_ms(floor_seconds, 0.99),
        "cpu_us": _figures.median([one.cpu_us for one in ours], digits=0),
        "floor_cpu_us": _figures.median([one.cpu_us for one in floors], digits=0),
        "ratio": _figures.median([floor.per_second / one.per_second for floor, one in pairs]),
        **proof,
    }


if __name__ == "__main__":
    sys.exit(main())
