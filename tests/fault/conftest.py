"""The market of the payment faults: opened once, and well again after each test."""

import pytest

from tests.fault.market import market


@pytest.fixture(scope="session")
def _open_market(tmp_path_factory):
    with market(tmp_path_factory.mktemp("market")) as built:
        yield built


@pytest.fixture
def shop(_open_market):
    """The shop and its channels; the faults a test orders end with it, and the books must be right."""
    yield _open_market
    _open_market.all_well()
