"""The arguments of every verb, and the short verbs: signing in and out, products, stock, orders, workbooks, doctor."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

from pydantic import ValidationError

from desktop.credentials import Place
from desktop.engine.session import APP_VERSION
from desktop.engine.transport import normalise_server
from desktop.exporting.verify import verify
from desktop.exporting.workbook import Written
from desktop.operations import finance_workbook, orders, products, reconciliation, session, statement_file, stock
from desktop.verbs import doctor
from desktop.verbs.importing import add_import
from desktop.verbs.shell import DONE, FAILED, INTERRUPTED, Shell
from shared import clock
from shared.contracts.catalog import NewProduct
from shared.errors import BadField, KamengError
from shared.ids import speak_order_code
from shared.labels import label
from shared.money import format_fen, format_unit_price
from shared.states import OrderState, ProductState


def run(argv: Sequence[str], shell: Shell | None = None) -> int:
    """Run one verb and answer the exit status. argparse ends the program itself for `--help` and unknown arguments."""
    shell = shell or Shell()
    arguments = _parser(shell).parse_args(list(argv))
    verb: Callable[[Shell, argparse.Namespace], int] = arguments.run
    try:
        return verb(shell, arguments)
    except KamengError as error:
        return shell.fail(error)
    except KeyboardInterrupt:
        shell.note(
            "已中断。已读取的导入会保留，再次运行同一命令即可继续。", "Interrupted. Run the same command to go on."
        )
        return INTERRUPTED


# --- signing in -------------------------------------------------------------------------------------------------


def _login(shell: Shell, arguments: argparse.Namespace) -> int:
    password = shell.password(arguments.password_file)
    with shell.engine(sign_in=False) as engine:
        who = engine.run(
            session.sign_in(
                engine,
                server=arguments.server,
                login=arguments.user,
                password=password,
                totp=arguments.totp,
                allow_plain=shell.allow_plain,
            )
        )
        if who.place is Place.MEMORY:
            # Nothing keeps the token for the next command: end the session instead of leaving it behind.
            engine.run(session.sign_out(engine))
            shell.note(
                "用户名和密码正确，但这台电脑没有可用的密钥环，登录无法保留。"
                "请设置 KAMENG_CREDENTIALS=file 后重试，或在每次运行时设置 KAMENG_PASSWORD_FILE。",
                "Name and password are right, but this machine has no usable keyring to keep the sign-in. "
                "Set KAMENG_CREDENTIALS=file and try again, or set KAMENG_PASSWORD_FILE for each run.",
            )
            return FAILED
        where = {
            Place.KEYRING: shell.words("系统密钥环", "the system's keyring"),
            Place.FILE: str(shell.folders.credentials_file),
        }[who.place]
    shell.say(
        f"已登录 {who.server}：{who.person.name}（{who.person.login}，{label(who.person.role)}）。"
        f"登录凭据保存在 {where}。",
        f"Signed in to {who.server} as {who.person.name} ({who.person.login}, {label(who.person.role, 'en')}). "
        f"The token is kept in {where}.",
    )
    return DONE


def _logout(shell: Shell, _arguments: argparse.Namespace) -> int:
    with shell.engine(sign_in=False) as engine:
        left = engine.run(session.sign_out(engine))
    if left.login is None:
        shell.say("当前没有登录。", "Nobody was signed in.")
    else:
        shell.say(f"{left.login} 已退出登录。", f"{left.login} is signed out.")
    return DONE


# --- products, stock, orders --------------------------------------------------------------------------------------


def _product_add(shell: Shell, arguments: argparse.Namespace) -> int:
    skus = [products.parse_sku(text) for text in arguments.sku]
    with shell.engine() as engine:
        supplier = arguments.supplier and engine.run(products.find_supplier(engine, arguments.supplier))
        try:
            wanted = NewProduct(
                category=arguments.category,
                code=arguments.code,
                name=arguments.name,
                summary=arguments.summary,
                description=arguments.description,
                supplier_id=supplier.id if supplier else None,
                skus=skus,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise BadField(field=".".join(map(str, first["loc"])), reason=first["msg"]) from error
        product = engine.run(products.add(engine, wanted)).product
    shell.say(
        f"已创建草稿 {product.code}（{product.name}），{len(product.skus)} 个 SKU。"
        f"上架：kameng product publish {product.code}",
        f"Draft {product.code} ({product.name}) with {len(product.skus)} SKUs. "
        f"To publish it: kameng product publish {product.code}",
    )
    return DONE


def _product_list(shell: Shell, _arguments: argparse.Namespace) -> int:
    rows: list[list[str]] = []
    with shell.engine() as engine:
        for product in engine.run(products.list_all(engine)):
            state = label(product.state, shell.language)
            rows += [
                [
                    product.code,
                    product.name,
                    product.supplier,
                    state,
                    sku.code,
                    format_unit_price(sku.unit_price),
                    f"{sku.free:,}",
                ]
                for sku in product.skus
            ]
    shell.table(
        shell.words("编码 商品 供应商 状态 SKU 单价 可售", "Code Product Supplier State SKU Price Free").split(), rows
    )
    return DONE


def _product_publish(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        product = engine.run(products.find(engine, arguments.code))
        moved = engine.run(products.move(engine, product, ProductState.PUBLISHED)).product
    shell.say(f"{moved.code}（{moved.name}）已上架。", f"{moved.code} ({moved.name}) is on sale.")
    return DONE


def _stock(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        levels = engine.run(stock.list_all(engine, q=arguments.sku))
    if arguments.sku is not None:
        levels = [level for level in levels if level.sku == arguments.sku]
        if not levels:
            raise BadField(field="--sku", reason=shell.words(f"没有 {arguments.sku}", f"there is no {arguments.sku}"))
    rows = [
        [
            level.sku,
            level.name,
            level.supplier,
            *(f"{n:,}" for n in (level.imported, level.free, level.held, level.sold, level.void)),
        ]
        for level in levels
    ]
    shell.table(
        shell.words(
            "SKU 名称 供应商 入库 可售 锁定 已售 作废", "SKU Name Supplier Imported Free Held Sold Void"
        ).split(),
        rows,
    )
    return DONE


def _orders(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        page = engine.run(orders.list_orders(engine, day=arguments.day, state=arguments.state, q=arguments.q)).value
    rows = [
        [
            speak_order_code(order.code),
            f"{clock.shop_time(order.created_at):%Y-%m-%d %H:%M:%S}",
            label(order.state, shell.language),
            " ".join(f"{line.sku}×{line.quantity}" for line in order.lines),
            format_fen(order.amount_fen),
        ]
        for order in page.items
    ]
    shell.table(shell.words("订单号 下单时间 状态 商品 金额（元）", "Order Placed State Goods Amount").split(), rows)
    if page.next is not None:
        shell.note(
            f"只显示最新 {len(rows)} 笔，请用 --day 或 --q 缩小范围。",
            f"Only the newest {len(rows)}; narrow by --day or --q.",
        )
    return DONE


# --- finance and doctor ---------------------------------------------------------------------------------------------


def _export_reconciliation(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        written = engine.run(reconciliation.export_workbook(engine, day=arguments.date, target=Path(arguments.out)))
    day, rows, figures = written.day.isoformat(), sum(written.rows.values()), written.summary
    shell.say(
        f"{day} 对账单：收款 {format_fen(figures.paid_fen)} 元，发货 {format_fen(figures.delivered_fen)} 元，"
        f"售出 {figures.units_sold:,} 张；明细 {rows:,} 行与账簿一致。",
        f"Workbook of {day}: received {format_fen(figures.paid_fen)}, delivered {format_fen(figures.delivered_fen)}, "
        f"{figures.units_sold:,} cards sold; {rows:,} rows agree with the ledger.",
    )
    shell.line(str(written.path))
    shell.line(f"SHA-256 {written.sha256}")
    return DONE


def _export_finance(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        written = engine.run(
            finance_workbook.export_finance(
                engine,
                first=arguments.first,
                last=arguments.last or arguments.first,
                target=Path(arguments.out),
                channels=arguments.channel,
                layout=arguments.layout,
            )
        )
    _say_written(shell, written)
    return DONE


def _export_statement(shell: Shell, arguments: argparse.Namespace) -> int:
    with shell.engine() as engine:
        written = engine.run(statement_file.export_numbered(engine, arguments.number, target=Path(arguments.out)))
    _say_written(shell, written)
    return DONE


def _say_written(shell: Shell, written: Written) -> None:
    for name, rows in written.rows.items():
        shell.line(f"{name} {rows:,}")
    shell.line(str(written.path))
    shell.line(f"SHA-256 {written.sha256}")


def _verify(shell: Shell, arguments: argparse.Namespace) -> int:
    verdict = verify(Path(arguments.file))
    for finding in verdict.findings:
        shell.line(finding.sentence(shell.language))
    if verdict.unchanged:
        shell.say(
            f"“{verdict.file}”未被修改：{verdict.day.isoformat()}，明细 {verdict.rows:,} 行，合计相符。",
            f"“{verdict.file}” is unchanged: {verdict.day.isoformat()}, {verdict.rows:,} rows, all totals add up.",
        )
    if verdict.sha256:
        shell.line(f"SHA-256 {verdict.sha256}")
    return DONE if verdict.unchanged else FAILED


def _doctor(shell: Shell, arguments: argparse.Namespace) -> int:
    server = None if arguments.server is None else normalise_server(arguments.server, allow_plain=shell.allow_plain)
    findings = doctor.examine(shell.folders, server=server, vault=shell.vault, environment=shell.environment)
    if arguments.json:
        shell.line(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        shell.line(f"Kameng {APP_VERSION}")
        for finding in findings:
            shell.line(f"{finding.health.upper():<5} {finding.topic:<11} {finding.sentence(shell.language)}")
    return FAILED if any(finding.health is doctor.Health.FAIL for finding in findings) else DONE


# --- arguments --------------------------------------------------------------------------------------------------


def _parser(shell: Shell) -> argparse.ArgumentParser:
    words = shell.words
    parser = argparse.ArgumentParser(
        prog="kameng",
        description=words(
            "卡盟控制台。不带参数时打开窗口。", "The Kameng console. Without arguments it opens its window."
        ),
    )
    parser.add_argument("--version", action="version", version=f"kameng {APP_VERSION}")
    verbs = parser.add_subparsers(required=True, metavar=words("命令", "VERB"))

    login = verbs.add_parser("login", help=words("登录并保存凭据", "sign in and keep the token"))
    login.add_argument("--server", required=True)
    login.add_argument("--user", required=True)
    login.add_argument(
        "--password-file", help=words("存放密码的文件，- 表示标准输入", "file with the password, - for stdin")
    )
    login.add_argument("--totp", help=words("六位动态码", "the six digits of the second factor"))
    login.set_defaults(run=_login)
    verbs.add_parser("logout", help=words("退出登录", "sign out")).set_defaults(run=_logout)

    _add_product(verbs, shell)
    levels = verbs.add_parser("stock", help=words("库存", "stock by SKU"))
    levels.add_argument("--sku")
    levels.set_defaults(run=_stock)
    add_import(verbs, shell)

    listed = verbs.add_parser("orders", help=words("订单", "orders"))
    listed.add_argument("--day", type=_day(shell))
    listed.add_argument("--state", type=OrderState, choices=list(OrderState))
    listed.add_argument("--q", help=words("订单号或渠道流水号", "an order's code or a channel's number"))
    listed.set_defaults(run=_orders)

    export = verbs.add_parser("export", help=words("导出", "exports"))
    kinds = export.add_subparsers(required=True, metavar=words("种类", "KIND"))
    day = kinds.add_parser("reconciliation", help=words("日对账单（Excel）", "the day's workbook"))
    day.add_argument("--date", required=True, type=_day(shell), help="YYYY-MM-DD | today | yesterday")
    day.add_argument("--out", required=True, help="FILE.xlsx")
    day.set_defaults(run=_export_reconciliation)

    finance = kinds.add_parser("finance", help=words("财务对账单（Excel，十张表）", "the finance workbook, ten sheets"))
    finance.add_argument("--from", dest="first", required=True, type=_day(shell), help="YYYY-MM-DD | today | yesterday")
    finance.add_argument(
        "--to", dest="last", type=_day(shell), help=words("默认与 --from 相同", "as --from when left out")
    )
    finance.add_argument(
        "--channel", action="append", default=[], help=words("可重复；默认全部", "may repeat; all when left out")
    )
    finance.add_argument("--layout", help=words("保存的版式", "a saved layout"))
    finance.add_argument("--out", required=True, help="FILE.xlsx")
    finance.set_defaults(run=_export_finance)

    statement = kinds.add_parser("statement", help=words("一张结算单的明细（Excel）", "the lines of a statement"))
    statement.add_argument("number", help="JS20261123-001")
    statement.add_argument("--out", required=True, help="FILE.xlsx")
    statement.set_defaults(run=_export_statement)

    verified = verbs.add_parser("verify", help=words("核验导出的文件是否被改过", "tell whether an export was changed"))
    verified.add_argument("file", help="FILE.xlsx")
    verified.set_defaults(run=_verify)

    check = verbs.add_parser("doctor", help=words("检查本机与服务器", "check this machine and the server"))
    check.add_argument("--server")
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_doctor)
    return parser


def _add_product(verbs: argparse._SubParsersAction[argparse.ArgumentParser], shell: Shell) -> None:
    words = shell.words
    product = verbs.add_parser("product", help=words("商品", "products"))
    kinds = product.add_subparsers(required=True, metavar=words("操作", "ACTION"))
    add = kinds.add_parser("add", help=words("新建草稿", "make a draft"))
    add.add_argument("--code", required=True)
    add.add_argument("--category", required=True)
    add.add_argument("--name", required=True)
    add.add_argument("--sku", required=True, action="append", metavar="CODE:NAME:PRICE")
    add.add_argument("--summary", default="")
    add.add_argument("--description", default="")
    add.add_argument("--supplier", help=words("供应商名称（运营人员填写）", "the supplier's name, for operators"))
    add.set_defaults(run=_product_add)
    kinds.add_parser("list", help=words("列出", "list them")).set_defaults(run=_product_list)
    publish = kinds.add_parser("publish", help=words("上架", "put on sale"))
    publish.add_argument("code")
    publish.set_defaults(run=_product_publish)


def _day(shell: Shell) -> Callable[[str], date]:
    def parse(text: str) -> date:
        today = clock.shop_day(clock.now())
        named = {"today": today, "yesterday": today - timedelta(days=1)}
        if text in named:
            return named[text]
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                shell.words(f"“{text}”不是日期，请写成 2026-11-21", f"“{text}” is not a date; write 2026-11-21")
            ) from None

    return parse
