"""Who a buyer inside WeChat is: web authorisation (snsapi_base) of an official account, which asks the person nothing.

The buyer's browser goes to `address` and comes back with a code, which is good once and for five minutes; `payer_of`
turns it into the openid that a payment inside WeChat is made by. The answer is not signed: TLS vouches for it, and a
wrong openid only makes one sheet fail. The secret stands in the address of the call, as WeChat wants it; it is in no
log, since nothing here or in `outbound` names an address. Used by `wechat.py`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from pydantic import Field, ValidationError

from server.gateways.port import ChannelRefused, ChannelUnknown
from server.gateways.wechat_wire import CHANNEL
from server.gateways.wire import Wire, encode_form, where
from server.outbound import Line, Unanswered

AUTHORIZE_URL = "https://open.weixin.qq.com/connect/oauth2/authorize"
TOKEN_URL = "https://api.weixin.qq.com/sns/oauth2/access_token"  # noqa: S105 - an address

PATIENCE_SECONDS = 3.0
"""How long a buyer waits to be recognised: without it there is still a code to scan."""

_CODE = re.compile(r"[0-9A-Za-z_-]{1,128}")
_STATE = re.compile(r"[0-9A-Za-z]{1,128}")
_BUSY = frozenset({-1, 45009, 45011})
"""Errors that pass by themselves."""


class _Granted(Wire):
    """What the code is worth; the tokens that come with it are not even read."""

    errcode: int = 0
    openid: Annotated[str | None, Field(pattern=r"^[0-9A-Za-z_-]{1,128}$")] = None
    is_snapshotuser: int = 0


class PayerDesk:
    """`port.PayerDesk` of one official account."""

    def __init__(
        self,
        *,
        app_id: str,
        app_secret: str,
        outbound: Line,
        authorize_url: str = AUTHORIZE_URL,
        token_url: str = TOKEN_URL,
    ) -> None:
        self._app_id, self._app_secret, self._outbound = app_id, app_secret, outbound
        self._authorize_url, self._token_url = authorize_url, token_url

    def __repr__(self) -> str:
        return f"PayerDesk({self._app_id})"

    @property
    def scope(self) -> str:
        """See `port.PayerDesk.scope`."""
        return self._app_id

    def address(self, *, back_url: str, state: str) -> str:
        """See `port.PayerDesk.address`. WeChat matches the order of the parameters, and wants the fragment."""
        assert _STATE.fullmatch(state), "WeChat takes 128 letters and digits alone"
        asked = {
            "appid": self._app_id,
            "redirect_uri": back_url,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        }
        return f"{self._authorize_url}?{encode_form(asked)}#wechat_redirect"

    async def payer_of(self, code: str) -> str:
        """See `port.PayerDesk.payer_of`. A page that WeChat shows as a snapshot has nobody who could pay."""
        if not _CODE.fullmatch(code):
            raise ChannelRefused(channel=CHANNEL, reason_code="WX_NO_CODE")
        asked = {
            "appid": self._app_id,
            "secret": self._app_secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reply = await self._outbound.exchange("GET", f"{self._token_url}?{encode_form(asked)}", headers={})
        except (Unanswered, TimeoutError) as error:
            reason = error.reason if isinstance(error, Unanswered) else "time-out"
            raise ChannelUnknown(channel=CHANNEL, detail=f"payer: {reason}") from None
        if reply.status != 200:
            raise ChannelUnknown(channel=CHANNEL, detail=f"payer: status {reply.status}")
        try:
            granted = _Granted.model_validate_json(reply.body)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"payer: answer malformed at {where(error)}") from None
        if granted.errcode in _BUSY:
            raise ChannelUnknown(channel=CHANNEL, detail=f"payer: {granted.errcode}")
        if granted.errcode or granted.openid is None or granted.is_snapshotuser:
            raise ChannelRefused(channel=CHANNEL, reason_code=f"WX_{granted.errcode or 'NOBODY'}")
        return granted.openid
