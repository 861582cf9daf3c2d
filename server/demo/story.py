"""`make demo`: the main job told in half a minute without a screen, through the programs themselves.

A supplier's .xlsx becomes stock through the console's own command line, a buyer's order becomes a payment at the
sandbox and a delivered key over HTTP, the day becomes a workbook, and the books are proved. Nothing is acted: each
step is a process or a request a merchant would use, and the first one that fails ends the story with its reason.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from openpyxl import Workbook

from server.demo.buyer import Buyer, Page, UnexpectedPage
from server.demo.processes import SANDBOX, children
from server.demo.run import open_shop, prepare
from server.demo.seed import made_up_keys
from server.settings import Settings, as_environment
from shared import clock
from shared.cardkey import Card, mask
from shared.errors import KamengError

SKU = "GAME-50"
ROWS = 500
DELIVERY_SECONDS = 30


class StepFailed(KamengError):
    """A step of the story did not work; its output says why."""

    code = "step_failed"
    status = 500
    zh = "演示在“{step}”一步失败：\n{output}"
    en = "The demo failed at “{step}”:\n{output}"


@dataclass
class _Story:
    """The folder of the results, the running shop, and its people's passwords."""

    folder: Path
    settings: Settings
    passwords: dict[str, str]

    def say(self, step: str, *facts: str) -> None:
        """Print one step and what came of it."""
        print(f"\n■ {step}", *(f"    {fact}" for fact in facts), sep="\n", flush=True)

    def kameng(self, login: str, *arguments: str) -> str:
        """Run the console's command line as one of the people; answers what it printed."""
        secret = self.folder / f"{login}.password"
        secret.touch(mode=0o600)
        secret.write_text(self.passwords[login])
        environment = as_environment(self.settings) | {
            "KAMENG_HOME": str(self.folder / f"console-{login}"),
            "KAMENG_SERVER": self.settings.base_url,
            "KAMENG_USER": login,
            "KAMENG_PASSWORD_FILE": str(secret),
            "KAMENG_CREDENTIALS": "memory",
        }
        try:
            return _run("kameng " + " ".join(arguments), ["desktop", *arguments], environment)
        finally:
            secret.unlink()


def _run(step: str, module: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *module], env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if done.returncode != 0:
        raise StepFailed(step=step, output=(done.stdout + done.stderr).strip())
    return done.stdout.strip()


def tell(settings: Settings, *, folder: Path | None) -> int:
    """Tell the story on a shop of its own in a new folder; answers the exit status of the final check."""
    began = time.monotonic()
    folder = folder or Path(tempfile.mkdtemp(prefix="kameng-demo-"))
    port, sandbox_port = _free_ports(2)
    # All else is the default: an embedded database in a folder of its own, whatever this machine's shop uses.
    settings = Settings.from_environment(
        {"KAMENG_DATA": str(folder / "data"), "KAMENG_PORT": str(port), "KAMENG_LANGUAGE": settings.language}
    )
    prepare(settings)
    with children(folder / "logs") as started:
        settings, passwords = open_shop(started, settings, sandbox_port=sandbox_port)
        story = _Story(folder=folder, settings=settings, passwords=passwords)
        story.say(
            "开店：服务器与支付沙箱 / a shop: server and payment sandbox", settings.base_url, str(settings.sandbox_url)
        )
        _supplier_imports(story)
        _buyer_buys(story)
        workbook = _finance_exports(story)
        status = _prove(story)
    story.say(
        f"完成，用时 {time.monotonic() - began:.0f} 秒 / done",
        f"工作簿 / workbook: {workbook}",
        f"数据与日志 / data and logs: {folder}",
    )
    return status


def _supplier_imports(story: _Story) -> None:
    """A real .xlsx with what real ones have: a title row, doubled keys, spaces, and a number Excel has damaged."""
    file = story.folder / "星河数码-点卡.xlsx"
    book = Workbook(write_only=True)
    sheet = book.create_sheet("点卡")
    sheet.append(["序号", "卡密"])
    keys = made_up_keys(SKU, ROWS)
    spoiled: dict[int, object] = {100: keys[10], 200: f"  {keys[200]} ", 300: 1234567890123456789}
    for n, key in enumerate(keys):
        sheet.append([n + 1, spoiled.get(n, key)])
    book.save(file)
    printed = story.kameng("xinghe", "import", str(file), "--sku", SKU, "--refused", str(story.folder / "未导入.xlsx"))
    story.say(f"供应商导入 {file.name} / a supplier imports a workbook of {ROWS} keys", *printed.splitlines())


def _buyer_buys(story: _Story) -> None:
    """A phone without JavaScript: choose, review, pay at the sandbox, read the key."""
    buyer = Buyer()
    shop = story.settings.base_url
    product = buyer.open(f"{shop}/p/game-card")
    review = buyer.submit(product, product.form("/review"), sku=SKU, quantity="1")
    order = buyer.submit(review, review.form("/orders"), channel=SANDBOX, agreed="yes")
    code = order.url.rsplit("/", 1)[1]
    till = next((link for link in order.links if link.startswith(str(story.settings.sandbox_url))), None)
    if till is None:
        raise UnexpectedPage(url=order.url, reason="pay link")
    story.say("买家下单 / a buyer orders", f"订单 / order {code}，¥{_yuan(review)}", f"付款页 / pay page {till}")
    checkout = buyer.open(till)
    buyer.submit(checkout, checkout.forms[0], action="pay")
    paid_at = time.monotonic()
    while not (keys := _keys_on(buyer.open(order.url))):
        if time.monotonic() - paid_at > DELIVERY_SECONDS:
            raise StepFailed(step="delivery", output=order.url)
        time.sleep(0.05)
    seconds = time.monotonic() - paid_at
    story.say(
        "沙箱签名回调，卡密送达 / a signed callback, and the key is delivered",
        f"卡密 / key {mask(Card('', keys[0]))}（付款后 {seconds:.2f} 秒 / s after paying）",
    )


def _keys_on(page: Page) -> list[str]:
    """The keys an order page shows, without the markup that makes digits stand out."""
    shown = re.findall(r"<code[^>]*>(.*?)</code>", page.text, re.DOTALL)
    keys = [unescape(re.sub(r"<[^>]+>", "", one)).strip() for one in shown]
    return [key for key in keys if key.startswith(SKU.split("-", 1)[0])]


def _yuan(review: Page) -> str:
    fen = int(review.form("/orders").fields["amount_fen"])
    return f"{fen // 100}.{fen % 100:02d}"


def _finance_exports(story: _Story) -> Path:
    day = clock.shop_day(clock.now()).isoformat()
    workbook = story.folder / f"对账-{day}.xlsx"
    printed = story.kameng("finance", "export", "reconciliation", "--date", day, "--out", str(workbook))
    story.say("财务导出当日对账工作簿 / finance exports the day's workbook", *printed.splitlines())
    return workbook


def _prove(story: _Story) -> int:
    """`kameng-server check`, while the shop runs."""
    checked = subprocess.run(
        [sys.executable, "-m", "server", "check"],
        env=as_environment(story.settings),
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    wanted = ("units_", "deliveries", "orders_", "debits", "credits", "exceptions")
    lines = [line for line in checked.stdout.splitlines() if line.startswith(wanted) or not line.count("  ")]
    story.say("核对账目与库存 / the books are proved", *lines, *checked.stderr.splitlines())
    return checked.returncode


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
