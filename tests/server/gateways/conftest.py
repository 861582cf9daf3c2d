"""One WeChat Pay, one Alipay and one Epay site for all tests here: their keys take a while to make."""

import pytest

from tests.server.gateways.alipay import Alipay
from tests.server.gateways.epay import Epay
from tests.server.gateways.wechat_pay import WechatPay


@pytest.fixture(scope="session")
def wechat():
    return WechatPay()


@pytest.fixture(scope="session")
def alipay():
    return Alipay()


@pytest.fixture(scope="session")
def epay():
    return Epay(2)
