"""The world of these tests: one sandbox, merchant and receiver of callbacks for each file, a number for each test."""

import itertools

import pytest

from tests.server.sandbox.peer import Merchant, Receiver, SandboxProcess
from tests.server.sandbox.wechat_shop import WechatShop

RETRY_AT_ONCE = ("--retry-seconds", "0,0,0")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), *RETRY_AT_ONCE, "--refund-gap-seconds", "0")
    yield process
    status, complaints = process.stop()
    # An orderly end. Callbacks to nobody are given up with a warning each; anything worse would be a mistake of ours.
    assert (status, [line for line in complaints.splitlines() if "given up after 4 deliveries" not in line]) == (0, [])


@pytest.fixture(scope="module")
def merchant(sandbox):
    shop = Merchant(sandbox).register()
    yield shop
    shop.http.close()


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.close()


@pytest.fixture(scope="module")
def _wechat_merchant(sandbox):
    shop = WechatShop(sandbox).register()
    yield shop
    shop.http.close()


@pytest.fixture
def wechat_shop(_wechat_merchant, monkeypatch):
    """A merchant of WeChat Pay; the faults a test orders end with it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # the SDK asks the environment for a proxy
    yield _wechat_merchant
    _wechat_merchant.end_faults()


@pytest.fixture
def number():
    """A merchant's number, and with it the path of its callbacks, that no other test uses."""
    return f"KM-{next(_numbers):08d}"


@pytest.fixture
def own_sandbox(tmp_path):
    """Start sandboxes a test may kill; whatever still runs at its end is killed."""
    started = []

    def start(*arguments):
        started.append(SandboxProcess(tmp_path / "own", *arguments))
        return started[-1]

    yield start
    for process in started:
        process.kill()
