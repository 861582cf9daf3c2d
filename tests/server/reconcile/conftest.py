"""One sandbox for all shops here: starting it, and exchanging keys with it, takes longer than a day's close."""

import pytest

from tests.server.reconcile.closing import close_with, exchanged
from tests.server.sandbox.peer import SandboxProcess


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--refund-gap-seconds", "0")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def ring(tmp_path_factory, sandbox):
    return exchanged(tmp_path_factory.mktemp("ring"), sandbox)


@pytest.fixture
def close(request, tmp_path, sandbox, ring):
    """A shop that sells by WeChat Pay and Alipay, new for this test; with other settings where it is parametrized."""
    with close_with(tmp_path, sandbox, ring, **getattr(request, "param", {})) as built:
        yield built
