"""Which of WeChat Pay's hosts hears what, and how new platform certificates come to be believed."""

import asyncio
import logging
from datetime import timedelta

import pytest

from server.gateways.port import BadSignature, ChannelRefused, ChannelUnknown
from server.gateways.wechat import RENEW_AFTER, SPARE_FIRST, WechatGateway
from server.outbound import Outbound, Unanswered
from tests.rsa_keys import rsa_key
from tests.server.gateways.listener import Said, listening, unsigned
from tests.server.gateways.test_wechat_calls import FACT, NUMBER, QUERY, payment
from tests.server.gateways.wechat_pay import API_V3_KEY, NONCE, NOW, PAID, new_certificate


def run(work):
    return asyncio.run(work)


# --- hosts ---


@pytest.fixture
def nobody():
    with listening(unsigned(200, b"")) as server:
        pass
    return server.url


def test_the_spare_host_hears_what_the_main_one_could_not(wechat, nobody):
    with listening(wechat.says(PAID)) as spare:
        assert run(wechat.gateway(nobody, spare_url=spare.url).query(NUMBER)) == FACT
    assert spare.targets == [QUERY]
    wechat.check(spare.asked[0])


def test_the_spare_host_is_asked_first_for_a_while_so_that_buyers_do_not_wait_for_the_main_one(wechat, nobody):
    at = [NOW]

    def answer(asked):
        return wechat.says(PAID, at=at[0])(asked)

    with listening(answer) as spare:
        away, heard = {nobody}, []

        class Line:
            """Counts who is tried; those `away` cannot be reached."""

            async def exchange(self, method, url, **rest):
                host = next(one for one in (nobody, spare.url) if url.startswith(one))
                heard.append("main" if host == nobody else "spare")
                if host in away:
                    raise Unanswered("ConnectTimeout")
                return await Outbound().exchange(method, url.replace(nobody, spare.url), **rest)

        gateway = wechat.gateway(nobody, spare_url=spare.url, outbound=Line(), now=lambda: at[0])
        run(gateway.query(NUMBER))
        run(gateway.query(NUMBER))
        assert heard == ["main", "spare", "spare"]
        away, _ = {spare.url}, heard.clear()
        run(gateway.query(NUMBER))  # the spare one is away now, and the main one back
        run(gateway.query(NUMBER))
        assert heard == ["spare", "main", "main"]
        away, _ = {nobody}, heard.clear()
        run(gateway.query(NUMBER))
        at[0] += SPARE_FIRST
        run(gateway.query(NUMBER))
        assert heard == ["main", "spare", "main", "spare"]
        at[0] -= timedelta(hours=1)  # the clock was wrong, and is put right
        run(gateway.query(NUMBER))
        assert heard[4:] == ["main", "spare"]


def test_nobody_at_either_host_is_unknown(wechat, nobody):
    with pytest.raises(ChannelUnknown) as unknown:
        run(wechat.gateway(nobody, spare_url=nobody).query(NUMBER))
    assert unknown.value.detail == "ConnectError"


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        ("hangs up in the middle", lambda _: lambda _asked: Said(200, {}, b"{", length=500)),
        ("fails", lambda w: w.says({"code": "SYSTEM_ERROR"}, 503)),
        ("is not signed", lambda _: unsigned(200, {"code_url": "weixin://wxpay/x"})),
    ],
)
def test_a_request_that_may_have_arrived_is_sent_nowhere_else(wechat, label, answer):
    with listening(answer(wechat)) as main, listening(wechat.says({"code_url": "weixin://wxpay/x"})) as spare:
        gateway = wechat.gateway(main.url, spare_url=spare.url, outbound=Outbound(total_seconds=1))
        with pytest.raises(ChannelUnknown):
            run(gateway.create(payment()))
    assert (len(main.asked), spare.asked) == (1, []), label


def test_a_path_below_a_host_is_signed_too(wechat):
    with listening(wechat.says(PAID)) as server:
        assert run(wechat.gateway(f"{server.url}/wechat/").query(NUMBER)) == FACT
    assert server.targets == [QUERY.replace("/v3", "/wechat/v3")]
    wechat.check(server.asked[0])


@pytest.mark.parametrize(
    "address", ["ftp://api.mch.weixin.qq.com", "api.mch.weixin.qq.com", "https://a@b", "https://a?b"]
)
def test_an_address_is_http(wechat, address):
    with pytest.raises(ValueError, match="wechat"):
        wechat.gateway(address)


def test_a_real_clock_and_nonce_are_there_when_none_is_given(wechat):
    with listening(unsigned(200, PAID)) as server:
        gateway = WechatGateway(wechat.account(), outbound=Outbound(), base_url=server.url, spare_url=None)
        with pytest.raises(ChannelUnknown):
            run(gateway.query(NUMBER))
    authorization = server.asked[0].headers["authorization"]
    assert NONCE not in authorization
    assert f'timestamp="{int(NOW.timestamp())}"' not in authorization


def test_nothing_secret_is_logged_on_the_way(wechat, caplog):
    caplog.set_level(logging.DEBUG)
    body = wechat.notice(PAID)
    answers = [wechat.says({"prepay_id": "wx2014"}), wechat.says(PAID), wechat.says({"code": "NO_AUTH"}, 403)]
    with listening(answers) as server:
        gateway = wechat.gateway(server.url)
        run(gateway.create(payment("jsapi")))
        run(gateway.query(NUMBER))
        with pytest.raises(ChannelRefused):
            run(gateway.query(NUMBER))
    gateway.verify_notify(wechat.signed(body), body)
    signatures = [one.headers["authorization"].partition('signature="')[2].rstrip('"') for one in server.asked]
    secrets = [API_V3_KEY.decode(), "PRIVATE KEY", "oUpF8uMuAJO", "prepay_id", *signatures]
    assert all(len(secret) > 8 for secret in secrets)
    assert not [secret for secret in secrets if secret in caplog.text]


# --- certificates ---


def certificates(wechat, pem, *, serial, key=API_V3_KEY):
    sealed = wechat.sealed(pem, key=key, about="certificate")
    listed = {"serial_no": serial, "effective_time": "2026-11-21T17:14:03+08:00", "encrypt_certificate": sealed}
    return {"data": [listed]}


def test_new_certificates_are_believed_beside_the_old_ones(wechat):
    new_key = rsa_key("new certificate")
    pem = new_certificate(new_key, serial=0xBEEF)
    body = wechat.notice(PAID)
    by_new = wechat.signed(body, key=new_key, serial="BEEF")
    with listening(wechat.says(certificates(wechat, pem, serial="BEEF"), key=new_key, serial="BEEF")) as server:
        gateway = wechat.gateway(server.url, account=wechat.account(public_key_id=None, public_key_pem=None))
        assert run(gateway.renew()) == (pem,)
    assert server.targets == ["GET /v3/certificates"]
    assert gateway.verify_notify(by_new, body).out_trade_no == NUMBER
    assert gateway.verify_notify(wechat.signed(body, serial=wechat.certificate_serial), body).out_trade_no == NUMBER


@pytest.mark.parametrize(
    ("label", "key", "signer"),
    [("sealed by a stranger", b"x" * 32, "new"), ("signed by a stranger", API_V3_KEY, "merchant")],
)
def test_certificates_of_a_stranger_are_not_believed(wechat, label, key, signer):
    new_key = rsa_key("new certificate")
    pem = new_certificate(new_key, serial=0xBEEF)
    by = new_key if signer == "new" else wechat.merchant_key
    with listening(wechat.says(certificates(wechat, pem, serial="BEEF", key=key), key=by, serial="BEEF")) as server:
        gateway = wechat.gateway(server.url)
        held = gateway._keys.serials
        with pytest.raises(ChannelUnknown):
            run(gateway.renew())
    assert gateway._keys.serials == held, label


def test_certificates_that_are_refused_change_nothing(wechat):
    with listening(wechat.says({"code": "NO_AUTH"}, 403)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(wechat.gateway(server.url).renew())
    assert unknown.value.detail == "status 403"


@pytest.mark.parametrize("set_back", [False, True])
def test_an_unknown_certificate_is_fetched_beside_the_notification_once_in_a_while(wechat, set_back):
    new_key, at, kept = rsa_key("new certificate"), [NOW], []
    pem = new_certificate(new_key, serial=0xBEEF, days=(-1, 1825))
    body, serial = wechat.notice(PAID), "000000000000BEEF"
    by_new = wechat.signed(body, key=new_key, serial=serial)

    def fetched(asked):
        return wechat.says(certificates(wechat, pem, serial=serial), key=new_key, serial=serial, at=at[0])(asked)

    with listening([unsigned(503, {}), fetched]) as server:
        gateway = wechat.gateway(server.url, now=lambda: at[0], keep=kept.append)
        assert run(gateway.renew_if_wanted()) is False
        with pytest.raises(BadSignature, match="unknown_key"):
            gateway.verify_notify(by_new, body)
        assert server.asked == []  # not in the way of the notification
        assert run(gateway.renew_if_wanted()) is False  # asked, and refused
        for _ in range(3):
            with pytest.raises(BadSignature):
                gateway.verify_notify(by_new, body)
            at[0] += RENEW_AFTER / 4
            assert run(gateway.renew_if_wanted()) is False
        assert (len(server.asked), kept) == (1, [])
        at[0] = NOW - RENEW_AFTER if set_back else NOW + RENEW_AFTER
        assert run(gateway.renew_if_wanted()) is True
    assert (server.targets, kept) == (["GET /v3/certificates"] * 2, [(pem,)])
    now = wechat.signed(body, key=new_key, serial=serial, at=at[0])
    assert gateway.verify_notify(now, body).out_trade_no == NUMBER


@pytest.mark.parametrize("serial", ["PUB_KEY_ID_0000", "BEEF", "not hex at all !!", ""])
def test_what_names_no_certificate_makes_nobody_ask(wechat, serial):
    body = wechat.notice(PAID)
    gateway = wechat.gateway("http://127.0.0.1:9")
    with pytest.raises(BadSignature):
        gateway.verify_notify(wechat.signed(body, serial=serial), body)
    assert run(gateway.renew_if_wanted()) is False


def test_an_answer_by_a_new_certificate_is_believed_after_it_was_fetched(wechat):
    new_key = rsa_key("new certificate")
    pem, serial = new_certificate(new_key, serial=0xBEEF), "000000000000BEEF"
    by = {"key": new_key, "serial": serial}
    answers = [wechat.says(PAID, **by), wechat.says(certificates(wechat, pem, serial=serial), **by)]
    with listening(answers) as server:
        assert run(wechat.gateway(server.url).query(NUMBER)) == FACT
    assert server.targets == [QUERY, "GET /v3/certificates"]
    stranger = {"key": wechat.merchant_key, "serial": "00000000DEADBEEF"}
    answers = [wechat.says(PAID, **stranger), unsigned(403, {}), wechat.says(PAID, **stranger)]
    with listening(answers) as server:
        gateway = wechat.gateway(server.url)
        for _ in range(2):
            with pytest.raises(ChannelUnknown, match="unknown_key"):
                run(gateway.query(NUMBER))
    assert server.targets == [QUERY, "GET /v3/certificates", QUERY]
