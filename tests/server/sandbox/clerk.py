"""The demo's clerk, whose `kameng-server keys add` runs in forked processes: importing the shop takes longer than the
work. tests/server/test_channels_wired.py lets the clerk start real ones.
"""

from unittest.mock import patch

from server import cli
from server.demo import channels
from server.settings import as_environment
from tests import forks


def exchange(settings, ready, *, log):
    """Set up every channel of a sandbox on both sides, as `server.demo.channels.exchange` does."""
    with patch.object(channels, "_run", _run):
        channels.exchange(settings, ready, log=log)


def _run(settings, command, log):
    added = forks.start(cli.main, command, environment=as_environment(settings), out=log)
    added.join()
    if added.exitcode != 0:
        raise channels.NotExchanged(command[2])
