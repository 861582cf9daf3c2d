"""Which column is which: by the heading where there is one, else by what the columns hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from desktop.importing.expiry import parse_expiry
from desktop.importing.options import Columns

HEADER_SEARCH_LINES = 10

# Best first. A Chinese title may be part of the heading (充值卡卡号), an English one must be all of it.
_TITLES: dict[str, tuple[str, ...]] = {
    "secret": (
        "卡密", "卡密码", "激活码", "兑换码", "充值码", "充值卡密", "密码", "密钥", "注册码", "券码", "验证码",
        "cdk", "cdkey", "cardkey", "secret", "code", "pin", "password", "pwd", "licensekey", "key",
        "redeemcode", "activationcode", "cardsecret", "cardpassword", "pincode", "giftcode", "serialkey",
    ),
    "number": (
        "卡号", "账号", "帐号", "序列号", "编号",
        "cardno", "cardnumber", "cardnum", "card", "account", "number", "no", "serial", "serialno",
        "serialnumber", "sn", "username",
    ),
    "expiry": (
        "有效期", "有效期至", "到期", "过期", "截止", "失效",
        "expiry", "expirydate", "expires", "expiresat", "expiration", "expirationdate", "validuntil", "validto",
    ),
    "cost": ("成本", "成本价", "进价", "进货价", "采购价", "供货价", "cost", "costprice", "unitcost"),
    "uses": ("可用次数", "使用次数", "可售次数", "次数", "uses", "maxuses", "usecount"),
}  # fmt: skip
_MAX_TITLE = 16


class Guess(NamedTuple):
    """The columns, how many lines of heading there are, and the titles of the heading (empty without one)."""

    columns: Columns
    header_lines: int
    titles: tuple[str, ...]


def guess(rows: Sequence[tuple[int, Sequence[Any]]]) -> Guess:
    """Judge the first rows of a file, each with its line number. There is at least one row."""
    best: dict[str, int] = {}
    heading = 0
    titles: tuple[str, ...] = ()
    for at, (line, cells) in enumerate(rows[:HEADER_SEARCH_LINES]):
        roles = _roles(cells)
        if len(roles) <= len(best) or not roles.keys() & {"secret", "number"}:
            continue
        neighbours = [row for _, row in (*rows[max(at - 1, 0) : at], *rows[at + 1 : at + 2])]
        if any(row[index : index + 1] == cells[index : index + 1] for row in neighbours for index in roles.values()):
            continue  # a label that each line repeats: 卡号 A1 密码 S1
        best, heading, titles = roles, line, tuple(map(str, cells))  # what stands above is a title of the sheet
    if best:
        return Guess(_from_roles(best), heading, titles)
    return Guess(_by_content([cells for _, cells in rows]), 0, ())


def _plain_title(cell: Any) -> str:
    if not isinstance(cell, str) or len(cell) > _MAX_TITLE * 2:
        return ""
    title = re.sub(r"[\s_\-*:：.#]|[(（\[【].*?[)）\]】]", "", cell).lower()
    return title if len(title) <= _MAX_TITLE else ""


def _roles(cells: Sequence[Any]) -> dict[str, int]:
    """The best column of each role. An exact title beats one that only contains the word."""
    found: dict[str, tuple[int, int]] = {}
    for index, cell in enumerate(cells):
        title = _plain_title(cell)
        if not title:
            continue
        ranked = [
            (rank if title == word else rank + 100, role)
            for role, words in _TITLES.items()
            for rank, word in enumerate(words)
            if title == word or (not word.isascii() and word in title and not any(map(str.isdigit, title)))
        ]
        if ranked:
            rank, role = min(ranked)
            if role not in found or rank < found[role][0]:
                found[role] = (rank, index)
    return {role: index for role, (_, index) in found.items()}


def _from_roles(roles: dict[str, int]) -> Columns:
    number, secret = roles.get("number"), roles.get("secret")
    if secret is None:
        assert number is not None  # a heading names one of them
        secret, number = number, None
    terms = {role: roles.get(role) for role in ("expiry", "cost", "uses")}
    return Columns(secret=secret, number=number, **terms)


def _by_content(rows: list[Sequence[Any]]) -> Columns:
    """Columns that change from row to row are keys; one of days is the expiry; constant ones are left alone."""
    width = max(map(len, rows))
    filled = [[row[index] for row in rows if index < len(row) and row[index] != ""] for index in range(width)]
    days = [index for index, cells in enumerate(filled) if cells and all(map(_is_day, cells))]
    keys = [
        index
        for index, cells in enumerate(filled)
        if cells and index not in days and (len(set(cells)) > 1 or len(cells) == 1)
    ]
    expiry = days[0] if days else None
    if len(keys) >= 2:
        return Columns(number=keys[0], secret=keys[1], expiry=expiry)
    if keys:
        return Columns(secret=keys[0], expiry=expiry)
    return Columns(secret=next((index for index, cells in enumerate(filled) if cells), 0))


def _is_day(cell: Any) -> bool:
    """Only what is written as a day: eight digits may be a key."""
    if isinstance(cell, str) and (not cell.strip() or cell.strip().isdigit()):
        return False
    if isinstance(cell, bool | int | float):
        return False
    try:
        return parse_expiry(cell) is not None
    except ValueError:
        return False
