"""`kameng-server keys`: the key ring, its master keys, and the data keys of lots; channels are `cli_channels`.

Exit status 1 when something could not be done for some lots: they are named, and running again tries them again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

from server import cli_channels
from server.catalog import queries as catalog
from server.cli_parts import ACTOR, database, ring, say, tell
from server.crypto import KeyRing
from server.db import Database, Tx, retrying
from server.exclusive import sole_writer
from server.ringfile import RingNotAFile
from server.settings import Settings
from server.stock.vault import rekey
from server.stock.vault.rekey import Chosen, Progress
from shared import clock
from shared.errors import Conflict, KamengError, NotFound

FORGET_AFTER = timedelta(minutes=10)
"""A server may still be storing a lot whose key it wrapped just before another master key became the active one."""


class RingExists(KamengError):
    """A ring is never replaced: stock sealed by it would be lost."""

    code = "ring_exists"
    zh = "密钥环 {path} 已存在，不会覆盖。"
    en = "The key ring {path} exists and is not replaced."


class MasterActive(Conflict):
    """The active master key wraps what is imported next."""

    code = "master_active"
    zh = "主密钥 {version} 正在使用，不能删除。"
    en = "Master key {version} is the active one and cannot be forgotten."


class MasterTooFresh(Conflict):
    """Another master key has only just become the active one."""

    code = "master_too_fresh"
    zh = "主密钥刚更换，服务器可能仍在写入旧主密钥的批次。请在 {minutes} 分钟后再试。"
    en = "The master key has only just changed and a server may still be using the old one; try again in {minutes} min."


class BackupsNeedIt(Conflict):
    """Dropping a master key is for ever."""

    code = "backups_need_it"
    zh = "删除后，仍使用主密钥 {version} 的数据库备份将无法解密卡密。确认不再需要这些备份，请加 --yes。"
    en = (
        "Without master key {version} the card keys in database backups from its time cannot be opened. If no such "
        "backup is needed, repeat with --yes."
    )


def add(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `keys`."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("init", help="新建密钥环 / make a new ring").set_defaults(run=_init)
    cli_channels.add(verbs)
    status = verbs.add_parser("status", help="主密钥与批次 / masters, lots, re-encryptions")
    status.add_argument("--sku", metavar="CODE", help="列出该规格的批次编号 / list the lots of a SKU with their ids")
    status.set_defaults(run=_status)
    rotate = verbs.add_parser("rotate", help="更换主密钥 / a new master key for all lots")
    rotate.add_argument(
        "--prepare",
        action="store_true",
        help="只新增、不启用，供复制到其他服务器 / make it, to be copied elsewhere first",
    )
    rotate.add_argument("--again", action="store_true", help="未完成时也新增 / also while older lots remain")
    rotate.set_defaults(run=_rotate)
    forget = verbs.add_parser("forget", help="删除旧主密钥 / drop an old master key")
    forget.add_argument("version", type=int)
    forget.add_argument("--yes", action="store_true", help="确认 / no old backup is needed")
    forget.set_defaults(run=_forget)
    reencrypt = verbs.add_parser("reencrypt", help="泄露后重新加密 / new data keys after a leak")
    which = reencrypt.add_mutually_exclusive_group(required=True)
    which.add_argument("--lot", type=UUID, metavar="ID")
    which.add_argument("--sku", metavar="CODE")
    which.add_argument("--all-of-master", type=int, metavar="VERSION")
    reencrypt.add_argument("--skip-damaged", action="store_true", help="跳过打不开的卡密 / leave what does not open")
    reencrypt.set_defaults(run=_reencrypt)


# --- the ring ---


def _init(settings: Settings, _options: argparse.Namespace) -> int:
    try:
        keys = KeyRing.create(settings.key_ring_file)
    except FileExistsError:
        raise RingExists(path=str(settings.key_ring_file)) from None
    say(
        settings,
        f"已新建密钥环 {settings.key_ring_file}。请立即备份，并与数据库备份分开保存。",
        f"Made the key ring {settings.key_ring_file}. Back it up now, apart from the database's backups.",
    )
    print(keys)
    return 0


# --- master keys ---


@contextmanager
def _vault(settings: Settings) -> Iterator[tuple[KeyRing, Database]]:
    """The ring and the database, alone on SQLite, and the ring complete for it. Raises MasterMissing and more."""
    keys = ring(settings)
    with sole_writer(settings.sqlite_file), database(settings) as db:
        with db.read() as tx:
            rekey.require_masters(tx, keys)
        yield keys, db


def _status(settings: Settings, options: argparse.Namespace) -> int:
    keys = ring(settings)
    with database(settings) as db, db.read() as tx:
        used = rekey.lots_by_master(tx)
        moving = rekey.under_way(tx, Chosen())
        listed = rekey.lots_of(tx, _sku_id(tx, options.sku)) if options.sku is not None else []
    for version in sorted(used.keys() | set(keys.masters)):
        mark = "缺失 / MISSING" if version not in keys.masters else "当前 / active"
        shown = mark if version not in keys.masters or version == keys.active_master else ""
        print(f"master {version}  lots {used.get(version, 0)}  {shown}".rstrip())
    for lot in moving:
        print(f"reencrypting {lot.lot_id}  {lot.sku} #{lot.number + 1}  {lot.done}/{lot.cards}")
    for kept in listed:
        print(f"lot {kept.lot_id}  #{kept.number + 1}  master {kept.master}  cards {kept.cards}  {kept.file_name}")
    return 1 if used.keys() - set(keys.masters) else 0


def _rotate(settings: Settings, options: argparse.Namespace) -> int:
    with _vault(settings) as (keys, db):
        if options.prepare:
            version = _made(db, keys)
            say(
                settings,
                f"已新增主密钥 {version}，尚未启用。请先把密钥环复制到每台服务器，再运行 keys rotate。",
                f"Made master key {version}, not used yet. Copy the ring to every server, then run `keys rotate`.",
            )
            return 0
        _renew(db, keys, again=options.again)
        say(settings, f"当前主密钥：{keys.active_master}", f"Active master key: {keys.active_master}")
        unreadable = _rewrap_all(settings, db, keys)
    for lot_id in unreadable:
        tell(settings, rekey.LotUnreadable(lot=lot_id))
    return 1 if unreadable else 0


def _made(db: Database, keys: KeyRing) -> int:
    """A new master key, not active yet."""
    if not keys.is_file:
        raise RingNotAFile
    version = keys.masters[-1] + 1
    with db.tx() as tx:
        rekey.note_master(tx, version, active=False, actor=ACTOR)
    keys.add_master(version)
    return version


def _renew(db: Database, keys: KeyRing, *, again: bool) -> None:
    """Make a newer master key the active one, unless a rotation is still to be finished.

    A key that was prepared, or that a crash left behind, is taken before another is made.
    """
    newest = keys.masters[-1]
    if newest == keys.active_master:
        with db.read() as tx:
            unfinished = rekey.count_to_rewrap(tx, keys) > 0
        if unfinished and not again:
            return
        newest = _made(db, keys)
    elif not keys.is_file:
        raise RingNotAFile
    with db.tx() as tx:
        rekey.note_master(tx, newest, active=True, actor=ACTOR)
    keys.activate_master(newest)


def _rewrap_all(settings: Settings, db: Database, keys: KeyRing) -> list[UUID]:
    """Wrap what older masters wrap with the active one; answers the lots that did not open."""
    with db.read() as tx:
        total = rekey.count_to_rewrap(tx, keys)
    done, unreadable = 0, list[UUID]()
    after: UUID | None = None
    while (step := retrying(db, partial(_rewrap_some, keys, after))).last is not None:
        done, after = done + step.lots, step.last
        unreadable += step.unreadable
        say(settings, f"已重新封装 {done}/{total} 个批次", f"Wrapped {done} of {total} lots anew")
    say(settings, f"完成：{done} 个批次。", f"Done: {done} lots.")
    return unreadable


def _rewrap_some(keys: KeyRing, after: UUID | None, tx: Tx) -> rekey.Rewrapped:
    return rekey.rewrap(tx, keys, after=after, actor=ACTOR)


def _forget(settings: Settings, options: argparse.Namespace) -> int:
    version = options.version
    with _vault(settings) as (keys, db):
        if not keys.is_file:
            raise RingNotAFile
        if version not in keys.masters:
            raise NotFound
        if version == keys.active_master:
            raise MasterActive(version=version)
        age = clock.now() - keys.active_since
        if settings.sqlite_file is None and age < FORGET_AFTER:
            raise MasterTooFresh(minutes=(FORGET_AFTER - age) // timedelta(minutes=1) + 1)
        with db.tx() as tx:
            rekey.forget_master(tx, version, actor=ACTOR)
            if not options.yes:
                raise BackupsNeedIt(version=version)
        keys.forget_master(version)
    say(settings, f"已删除主密钥 {version}。", f"Master key {version} is gone.")
    return 0


# --- data keys ---


def _reencrypt(settings: Settings, options: argparse.Namespace) -> int:
    with _vault(settings) as (keys, db):
        if options.all_of_master is not None and options.all_of_master not in keys.masters:
            raise NotFound
        chosen = _chosen(db, options)
        if chosen.master == keys.active_master:
            _renew(db, keys, again=True)  # what leaked must not wrap the new data keys
        left = list[UUID]()
        finish = _Finisher(settings, db, keys, skip_damaged=options.skip_damaged)
        resumed = finish.all(chosen)
        if not resumed or chosen.master is not None:
            left = retrying(db, lambda tx: rekey.begin(tx, keys, chosen, actor=ACTOR))
            finish.all(chosen)
        else:
            with db.read() as tx:
                left = rekey.arriving(tx, chosen)
            say(
                settings,
                "这次完成的是上次没有做完的批次；要全部重新加密，请再运行一次。",
                "This finished what was begun before. Run it again to seal every lot anew.",
            )
    if chosen.lot_id is not None and left:
        raise rekey.LotImporting(lot=chosen.lot_id)
    for lot_id in left:
        tell(settings, rekey.LotImporting(lot=lot_id))
    say(settings, f"完成：{finish.lots} 个批次。", f"Done: {finish.lots} lots.")
    return 1 if left else 0


def _chosen(db: Database, options: argparse.Namespace) -> Chosen:
    """What the options name. Raises NotFound for what there is not."""
    with db.read() as tx:
        if options.sku is not None:
            return Chosen(sku_id=_sku_id(tx, options.sku))
        if options.lot is not None and not rekey.lot_exists(tx, options.lot):
            raise NotFound
    return Chosen(lot_id=options.lot, master=options.all_of_master)


def _sku_id(tx: Tx, code: str) -> UUID:
    terms = catalog.sku_by_code(tx, code)
    if terms is None:
        raise NotFound
    return terms.sku_id


class _Finisher:
    """Carries re-encryptions to their end, and tells how far they are."""

    def __init__(self, settings: Settings, db: Database, keys: KeyRing, *, skip_damaged: bool) -> None:
        self._settings, self._db, self._keys, self._skip = settings, db, keys, skip_damaged
        self.lots = 0

    def all(self, chosen: Chosen) -> bool:
        """Finish what is under way among the chosen lots; whether there was any."""
        with self._db.read() as tx:
            moving = rekey.under_way(tx, chosen)
        for lot in moving:
            self._finish(lot)
        return bool(moving)

    def _finish(self, lot: Progress) -> None:
        def step(tx: Tx) -> bool:
            return rekey.reseal(tx, self._keys, lot.lot_id, skip_damaged=self._skip, actor=ACTOR)

        done = lot.done
        while retrying(self._db, step):
            done = min(done + rekey.CARDS_PER_STEP, lot.cards)
            say(
                self._settings,
                f"{lot.sku} 第 {lot.number + 1} 批：{done}/{lot.cards}",
                f"{lot.sku} lot {lot.number + 1}: {done} of {lot.cards}",
            )
        self.lots += 1
