"""Who a buyer inside WeChat is: the page that hands out a code, and the call that turns it into an openid.

`connect/oauth2/authorize` leads the browser straight back, as snsapi_base does; `sns/oauth2/access_token` is asked by
the merchant's server with its application's secret. A code is good once and for five minutes. The person is the word
after `SandboxPerson/` in the browser's User-Agent, so that testers can be several people. Used by `wechat.py`.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.sandbox.calls import Calls, Said
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.merchants import Register
from server.sandbox.rendering import Rendering
from server.sandbox.web import PAGE_HEADERS
from server.sandbox.wechat_keys import WechatMerchant
from server.sandbox.wechat_wire import CHANNEL, Content, encode

_ORDER = ["appid", "redirect_uri", "response_type", "scope", "state"]
_SCOPES = ("snsapi_base", "snsapi_userinfo")
_STATE = re.compile(r"[0-9A-Za-z]{0,128}")
_PERSON = re.compile(r"SandboxPerson/(\w{1,32})")
_CODE_LIFE_MS = 300_000
_MOST_CODES = 1_000

_WRONG: dict[int, str] = {
    -1: "system error",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    41008: "missing code",
}
_FAULTY = {"busy": -1, "bad_code": 40029}


def person_of(request: Request) -> str:
    """Who holds the phone."""
    found = _PERSON.search(request.headers.get("user-agent", ""))
    return found.group(1) if found else "buyer"


def openid_of(app_id: str, person: str) -> str:
    """The application's name for a person: another application has another one."""
    digest = hashlib.sha256(f"{app_id}|{person}".encode()).digest()
    return "oSB" + base64.urlsafe_b64encode(digest).decode()[:25]


@dataclass(slots=True)
class _Code:
    app_id: str
    openid: str
    made_at_ms: int
    is_used: bool = False


class PayerPages:
    """The page and the call. Codes live in memory: a restart forgets what was under way."""

    def __init__(self, engine: Engine, merchants: Register[WechatMerchant], rendering: Rendering) -> None:
        """Recognise buyers for the applications of `merchants`."""
        self._engine = engine
        self._calls = Calls(engine.faults)
        self._merchants = merchants
        self._rendering = rendering
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def routes(self, root: str) -> list[Route]:
        """The addresses below `root`."""
        return [
            Route(f"{root}/connect/oauth2/authorize", self._authorize, methods=["GET"]),
            Route(f"{root}/sns/oauth2/access_token", self._access_token, methods=["GET"]),
        ]

    async def _authorize(self, request: Request) -> Response:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        given = dict(pairs)
        is_whole = [name for name, _ in pairs] == _ORDER and given["response_type"] == "code"
        if not is_whole or given["scope"] not in _SCOPES or not _STATE.fullmatch(given["state"]):
            return self._rendering.problem(request, 400, "oauth_unusable")
        if "MicroMessenger" not in request.headers.get("user-agent", ""):
            return self._rendering.problem(request, 403, "oauth_outside_wechat")
        merchant = self._merchant_of(given["appid"])
        back = urlsplit(given["redirect_uri"])
        if merchant is None or back.scheme not in ("http", "https") or not back.hostname:
            return self._rendering.problem(request, 400, "oauth_unusable")
        if merchant.oauth_domains and back.hostname not in merchant.oauth_domains:
            return self._rendering.problem(request, 403, "oauth_other_domain")
        about = About(CHANNEL, merchant.mchid)
        answer = {"code": self._new_code(given["appid"], person_of(request), about), "state": given["state"]}
        if self._engine.faults.word("oauth", About(CHANNEL, merchant.mchid, call="authorize")) == "deny":
            del answer["code"]
        mark = "&" if back.query else "?"
        return RedirectResponse(given["redirect_uri"] + mark + urlencode(answer), 302, headers=PAGE_HEADERS)

    async def _access_token(self, request: Request) -> Response:
        merchant = self._merchant_of(request.query_params.get("appid", ""))
        about = About(CHANNEL, merchant.mchid if merchant else "", call="payer")
        return await self._calls.answer(
            request,
            about,
            work=lambda: Said(200, encode(self._granted(request, merchant, about))),
            seal=lambda said, _signing: Response(said.body, said.status, media_type="text/plain"),
            failed=partial(Said, body=b""),
        )

    def _granted(self, request: Request, merchant: WechatMerchant | None, about: About) -> Content:
        given = request.query_params
        app_id = given.get("appid", "")
        secret = merchant.app_secrets.get(app_id) if merchant else None
        if secret is None:
            return _refusal(40013)
        if not hmac.compare_digest(secret.encode(), given.get("secret", "").encode()):
            return _refusal(40125)
        if given.get("grant_type") != "authorization_code":
            return _refusal(40002)
        if not given.get("code"):
            return _refusal(41008)
        fault = self._engine.faults.word("oauth", about)
        if fault in _FAULTY:
            return _refusal(_FAULTY[fault])
        code = self._codes.get(given["code"])
        if code is None or code.app_id != app_id or self._engine.clock_ms(about) - code.made_at_ms > _CODE_LIFE_MS:
            return _refusal(40029)
        if code.is_used:
            return _refusal(40163)
        code.is_used = True
        token = {"access_token": secrets.token_hex(32), "expires_in": 7200, "refresh_token": secrets.token_hex(32)}
        snapshot = {"is_snapshotuser": 1} if fault == "snapshot" else {}
        return {**token, "openid": code.openid, "scope": "snsapi_base", **snapshot}

    def _new_code(self, app_id: str, person: str, about: About) -> str:
        code = secrets.token_hex(16)
        self._codes[code] = _Code(app_id, openid_of(app_id, person), self._engine.clock_ms(about))
        if len(self._codes) > _MOST_CODES:
            self._codes.popitem(last=False)
        return code

    def _merchant_of(self, app_id: str) -> WechatMerchant | None:
        return next((one for one in self._merchants.all() if app_id in one.app_ids), None)


def _refusal(code: int) -> Content:
    return {"errcode": code, "errmsg": f"{_WRONG[code]}, rid: {secrets.token_hex(8)}"}
