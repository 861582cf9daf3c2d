"""`kameng-server`: serve, work, migrate, restored, check, notices, keys, user, sandbox, demo.

Prints sentences, not traces. Exit status 0 for success, 1 when `check` found something, 2 for what the person who
typed can put right: usage, settings, a taken port, a missing key ring.
"""

from __future__ import annotations

import argparse
import getpass
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from uuid import UUID

from sqlalchemy.exc import OperationalError

from server import app, audit, changes, cli_keys, invariants, migrations, serving, telemetry
from server.cli_parts import ACTOR, SchemaBehind, database, ring, say
from server.context import Context
from server.db import Database
from server.exclusive import sole_writer
from server.identity import actions, passwords, queries
from server.payments import callbacks
from server.payments import queries as payments
from server.settings import Settings
from shared.errors import BadField, KamengError, NotFound
from shared.permissions import Role
from shared.sentence import Sentence

USAGE = 2


class NeedsServerDatabase(KamengError):
    """SQLite has one server process with its worker inside."""

    code = "needs_server_database"
    zh = "SQLite 只能由一个服务器进程使用，{command} 需要 PostgreSQL 或 MariaDB(KAMENG_DATABASE_URL)。"
    en = "SQLite serves one server process; {command} needs PostgreSQL or MariaDB (KAMENG_DATABASE_URL)."


class DatabaseAway(KamengError):
    """The database server does not answer, or does not let us in."""

    code = "database_away"
    zh = "无法使用数据库：{reason}。请检查 KAMENG_DATABASE_URL 和数据库服务。"
    en = "The database cannot be used: {reason}. Check KAMENG_DATABASE_URL and the database server."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    # Programs of their own, with their own options and without our settings.
    if given[:1] == ["sandbox"]:
        from server.sandbox.app import main as sandbox

        return sandbox(given[1:])
    if given[:1] == ["demo"]:
        from server.demo import main as demo

        return demo(given[1:])
    options = _parser().parse_args(given)
    language = "zh"
    try:
        settings = Settings.from_environment()
        language = settings.language
        settings.prepare_data_folder()
        telemetry.start_logging(settings.log_level)
        run: Callable[[Settings, argparse.Namespace], int] = options.run
        return run(settings, options)
    except KamengError as error:
        print(error.sentence(language), file=sys.stderr)
        return USAGE
    except OperationalError as error:
        # What a driver says about a connection has host and login in it, never a password.
        said = str(error.orig).strip().splitlines() or [type(error).__name__]
        print(DatabaseAway(reason=said[0]).sentence(language), file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kameng-server", description="卡盟服务器 / the Kameng server")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="启动服务器 / run the server, its worker inside")
    serve.add_argument("--only", choices=["callbacks"], help="只接收支付通知 / answer payment notifications only")
    serve.add_argument("--no-worker", action="store_true", help="不在本进程运行任务 / leave jobs to `work`")
    serve.set_defaults(run=_serve)

    commands.add_parser("work", help="只运行后台任务 / run jobs only").set_defaults(run=_work)
    commands.add_parser("migrate", help="升级数据库 / bring the database up to date").set_defaults(run=_migrate)
    restored = commands.add_parser("restored", help="数据库刚从备份恢复 / the database came back from a backup")
    restored.set_defaults(run=_restored)
    commands.add_parser("check", help="核对账目与库存 / prove the books and the stock").set_defaults(run=_check)
    notices = commands.add_parser("notices", help="一笔支付的通知原文 / what channels told about a payment")
    notices.add_argument("number", help="我方或渠道的支付单号 / our number of the payment, or the channel's")
    notices.set_defaults(run=_notices)
    commands.add_parser("sandbox", help="支付沙箱 / the payment sandbox", add_help=False)
    commands.add_parser("demo", help="演示店铺 / the demo shop", add_help=False)
    cli_keys.add(commands.add_parser("keys", help="密钥环 / the key ring"))
    _add_user(commands.add_parser("user", help="员工与供应商账号 / people who sign in"))
    return parser


def _add_user(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("list", help="列出 / list").set_defaults(run=_user_list)
    add = verbs.add_parser("add", help="新增 / add")
    add.add_argument("login")
    add.add_argument("--name", required=True)
    add.add_argument("--role", required=True, choices=[role.value for role in Role])
    add.add_argument("--supplier", help="供应商名称（role=supplier）/ the supplier's name")
    add.add_argument(
        "--fee-ppm", type=int, help="新供应商的平台费率，百万分之一 / rate of a new supplier in millionths"
    )
    add.set_defaults(run=_user_add)
    password = verbs.add_parser("password", help="重设密码 / set a new password")
    password.add_argument("login")
    password.set_defaults(run=_user_password)
    for parser_of in (add, password):
        parser_of.add_argument("--generate", action="store_true", help="随机生成并显示一次 / make one and show it once")
    for verb, run, words in (
        ("disable", _user_disable, "停用 / disable"),
        ("enable", _user_enable, "启用 / enable"),
        ("totp", _user_totp, "启用动态码 / enrol a second factor"),
    ):
        command = verbs.add_parser(verb, help=words)
        command.add_argument("login")
        command.set_defaults(run=run)


# --- serving ---


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    split = options.only is not None or options.no_worker
    if split and settings.sqlite_file is not None:
        raise NeedsServerDatabase(command="serve --only / --no-worker")
    with sole_writer(settings.sqlite_file):
        ctx = _assembled(settings)
        listener = serving.take_port(settings)
        print(settings, file=sys.stderr)
        print(f"{settings.shop_name}: {settings.base_url}", flush=True)
        serving.serve(ctx, listener, only_callbacks=options.only is not None, worker=not split)
    return 0


def _work(settings: Settings, _options: argparse.Namespace) -> int:
    if settings.sqlite_file is not None:
        raise NeedsServerDatabase(command="work")
    ctx = _assembled(settings)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    ctx.batch.start()  # handlers of jobs submit to the lanes
    ctx.jobs.start(threads=2)
    stopping.wait()
    ctx.jobs.close()
    ctx.batch.close()
    ctx.db.close()
    return 0


def _assembled(settings: Settings) -> Context:
    ctx = app.assemble(settings)
    if not app.schema_is_current(ctx.db):
        raise SchemaBehind
    return ctx


# --- database ---


def _migrate(settings: Settings, _options: argparse.Namespace) -> int:
    with sole_writer(settings.sqlite_file):
        db = Database(settings.database_url)
        before = migrations.current(db)
        migrations.upgrade(db)
        after = migrations.current(db)
        db.close()
    say(settings, f"数据库版本：{before or '-'} → {after}", f"Database version: {before or '-'} → {after}")
    return 0


def _restored(settings: Settings, _options: argparse.Namespace) -> int:
    """Consoles know rows that are lost, and positions of the feed that stand for other rows by now."""
    with sole_writer(settings.sqlite_file), database(settings) as db, db.tx() as tx:
        changes.renew(tx)
        audit.append(tx, actor=ACTOR, action="database.restored", entity="database", entity_id="")
    say(settings, "各客户端将重新读取全部列表。", "Consoles read every list anew.")
    return 0


def _check(settings: Settings, _options: argparse.Namespace) -> int:
    db = Database(settings.database_url)
    if not app.schema_is_current(db):
        raise SchemaBehind
    report = invariants.check(db)
    db.close()
    for name, figure in sorted(report.figures.items()):
        print(f"{name:32} {figure}")
    for finding in report.findings:
        print(f"{finding.invariant}: {finding.sentence}")
        for row in finding.rows:
            print(f"    {row}")
    if report.ok:
        say(settings, "核对通过。", "All invariants hold.")
        return 0
    count = len(report.findings)
    say(settings, f"发现 {count} 项不符。", f"{count} invariants do not hold.")
    return 1


def _notices(settings: Settings, options: argparse.Namespace) -> int:
    """Print what was told about a payment, opened: evidence for a dispute. It names the payer."""
    keys = ring(settings)
    with database(settings) as db, db.read() as tx:
        orders = payments.orders_by_number(tx, options.number)
        its = [one.out_trade_no for some in payments.attempts_of(tx, orders).values() for one in some]
        told = [one for number in its or [options.number] for one in callbacks.of_number(tx, keys, number)]
    if not told:
        raise NotFound
    for one in told:
        print(f"{one.received_at.isoformat()} {one.channel} {one.state.value}")
        print(one.headers.decode(errors="replace"))
        print(one.body.decode(errors="replace"), end="\n\n")
    return 0


# --- people ---


def _user_list(settings: Settings, _options: argparse.Namespace) -> int:
    after = None
    with database(settings) as db:
        while True:
            with db.read() as tx:
                page = queries.users(tx, after=after)
            for user in page.items:
                state = "" if user.active else "（停用 / disabled）"
                print(f"{user.login:24} {user.role.value:10} {user.name} {user.supplier or ''} {state}".rstrip())
            if page.next is None:
                return 0
            after = page.items[-1].id


def _user_add(settings: Settings, options: argparse.Namespace) -> int:
    role = Role(options.role)
    if (role is Role.SUPPLIER) != (options.supplier is not None):
        raise BadField(field="--supplier", reason="role=supplier ⇔ --supplier")
    password = _new_password(options)
    with sole_writer(settings.sqlite_file), database(settings) as db:
        password_hash = passwords.hash_now(password)
        with db.tx() as tx:
            supplier_id = queries.supplier_by_name(tx, options.supplier) if options.supplier else None
            if options.supplier and supplier_id is None:
                if options.fee_ppm is None or not 0 <= options.fee_ppm <= 1_000_000:
                    raise BadField(field="--fee-ppm", reason="0…1000000")
                supplier_id = actions.create_supplier(tx, name=options.supplier, fee_ppm=options.fee_ppm, actor=ACTOR)
            actions.create_user(
                tx,
                login=options.login,
                name=options.name,
                role=role,
                password_hash=password_hash,
                supplier_id=supplier_id,
                actor=ACTOR,
            )
    say(settings, f"已新增 {options.login}。", f"Added {options.login}.")
    return 0


def _user_password(settings: Settings, options: argparse.Namespace) -> int:
    password = _new_password(options)
    with sole_writer(settings.sqlite_file), database(settings) as db:
        user_id = _find(db, options.login)
        password_hash = passwords.hash_now(password)
        with db.tx() as tx:
            actions.set_password(tx, user_id, password_hash=password_hash, actor=ACTOR)
    say(settings, "密码已更换，所有登录已失效。", "The password is set; all sessions have ended.")
    return 0


def _user_disable(settings: Settings, options: argparse.Namespace) -> int:
    return _set_active(settings, options.login, active=False)


def _user_enable(settings: Settings, options: argparse.Namespace) -> int:
    return _set_active(settings, options.login, active=True)


def _set_active(settings: Settings, login: str, *, active: bool) -> int:
    with sole_writer(settings.sqlite_file), database(settings) as db:
        user_id = _find(db, login)
        with db.tx() as tx:
            actions.set_active(tx, user_id, active=active, actor=ACTOR)
    say(settings, f"{login} 已{'启用' if active else '停用'}。", f"{login} is {'enabled' if active else 'disabled'}.")
    return 0


def _user_totp(settings: Settings, options: argparse.Namespace) -> int:
    """Show the secret once, and enrol it by a first code."""
    keys = ring(settings)
    with sole_writer(settings.sqlite_file), database(settings) as db:
        user_id = _find(db, options.login)
        with db.tx() as tx:
            enrolment = actions.begin_totp(tx, user_id, keys=keys, shop=settings.shop_name)
        print(enrolment.secret)
        print(enrolment.uri)
        totp = input("6 位动态码 / 6-digit code: ").strip()
        with db.tx() as tx:
            actions.confirm_totp(tx, user_id, totp=totp, keys=keys, actor=ACTOR)
    say(settings, f"{options.login} 已启用动态码。", f"{options.login} has a second factor now.")
    return 0


def _find(db: Database, login: str) -> UUID:
    with db.read() as tx:
        user = queries.user_by_login(tx, login)
    if user is None:
        raise NotFound
    return user.id


def _new_password(options: argparse.Namespace) -> str:
    """From `--generate`, the keyboard (twice), or the first line of standard input."""
    if options.generate:
        password = secrets.token_urlsafe(15)
        print(password)
    elif sys.stdin.isatty():
        password = getpass.getpass("密码 / password: ")
        if getpass.getpass("再输入一次 / again: ") != password:
            raise BadField(field="password", reason=Sentence("两次不一致", "not the same"))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    passwords.judge(password, login=options.login)
    return password
