"""Where nothing may be sold: WeChat does not allow virtual goods inside mini programs on iOS.

Nothing there may show a price, a button or another way to pay. The rule is WeChat's; it is kept here for pages and
API alike, by what the client says of itself and by its browser.
"""

from __future__ import annotations

import re

from shared.errors import KamengError


class NotSoldHere(KamengError):
    """An order from where the goods may not be sold."""

    code = "not_sold_here"
    status = 403
    zh = "由于相关规范，iOS 功能暂不可用。"
    en = "Not available on iOS here, because of the platform’s rules."


def is_sold(agent: str, *, mini_program: str | None = None) -> bool:
    """Whether this client may be shown prices and may buy. `mini_program` is the system that one says it runs on."""
    is_inside = mini_program is not None or "miniProgram" in agent
    is_ios = mini_program == "ios" or re.search(r"iPhone|iPad|iPod", agent) is not None
    return not (is_inside and is_ios)
