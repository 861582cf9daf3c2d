"""The demo shop: `kameng-server demo run` starts everything on this machine, `demo story` tells the main job.

Uses the same commands and HTTP as a merchant; it is not part of a live shop, and refuses one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from server.settings import Settings
from shared.errors import Conflict, KamengError


class NotForLive(Conflict):
    """The demo makes up people, goods and keys."""

    code = "not_for_live"
    zh = "演示店铺不能在 KAMENG_MODE=live 下运行。"
    en = "The demo shop does not run with KAMENG_MODE=live."


def main(argv: Sequence[str]) -> int:
    """Run `run` or `story`; returns the exit status."""
    options = _parser().parse_args(argv)
    language = "zh"
    try:
        settings = Settings.from_environment()
        language = settings.language
        if settings.is_live:
            raise NotForLive
        if options.verb == "run":
            from server.demo.run import run

            sandbox_port = options.sandbox_port or settings.port + 790
            return run(settings, sandbox_port=sandbox_port, console=not options.no_console)
        from server.demo.story import tell

        return tell(settings, folder=options.folder)
    except KamengError as error:
        print(error.sentence(language), file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kameng-server demo", description="演示店铺 / the demo shop")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="启动店铺、支付沙箱和控制台 / start shop, payment sandbox and console")
    run.add_argument("--sandbox-port", type=int, help="支付沙箱端口 / the sandbox's port (default: the shop's + 790)")
    run.add_argument("--no-console", action="store_true", help="不打开控制台 / do not open the console")
    story = verbs.add_parser("story", help="半分钟讲完主流程 / tell the main job in half a minute")
    story.add_argument("--folder", type=Path, help="放结果的文件夹 / where the results go (default: a new one)")
    return parser
