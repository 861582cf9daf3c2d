"""Words that several screens need in the language of the window: ages, states, faults.

Functions, because they are asked again after each change of language.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum

from PySide6.QtCore import QCoreApplication

from desktop.presenters.formats import age, count, moment
from desktop.widgets.live import language
from shared import clock, labels
from shared.errors import KamengError


def how_old(instant: datetime) -> str:
    """`刚刚`, `5 分钟前`, `3 小时前`, `2 天前`."""
    since = age(instant, now=clock.now())
    match since.unit:
        case "days":
            words = QCoreApplication.translate("Words", "{n} 天前")
        case "hours":
            words = QCoreApplication.translate("Words", "{n} 小时前")
        case "minutes":
            words = QCoreApplication.translate("Words", "{n} 分钟前")
        case _:
            words = QCoreApplication.translate("Words", "刚刚")
    return words.format(n=since.number)


def as_of(instant: datetime | None) -> str:
    """How old a list is, in words; empty while it was not read."""
    if instant is None:
        return ""
    return QCoreApplication.translate("Words", "数据：{age}").format(age=how_old(instant))


def exactly(instant: datetime | None) -> str:
    """The same instant to the second, for a tip."""
    return moment(instant) if instant is not None else ""


def counted(words: str, number: int) -> str:
    """`words` of a plural `tr("%n ...")` with the number written in groups of three."""
    return words.replace(str(number), count(number), 1)


def state_word(state: StrEnum | IntEnum) -> str:
    """The word for a state in the language of the window."""
    return labels.label(state, language())


def sentence(error: Exception) -> str:
    """What went wrong and what to do. An error nobody expected says that much and no more: it may quote data."""
    if isinstance(error, KamengError):
        return error.sentence(language())
    return QCoreApplication.translate("Words", "程序内部出错（{kind}），详情已记入日志。").format(
        kind=type(error).__name__
    )
