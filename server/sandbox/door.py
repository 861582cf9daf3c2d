"""Who may use the testers' pages: nobody from another site, and when the sandbox is public only who has its token.

Merchants' addresses are signed and payment pages have secret addresses; all else here orders faults and pays whatever
it likes. A browser that visits another site must not be led to do that: forms come from our own pages, and pages are
asked for under a name of this machine. Wired by `app.py`.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.sandbox.keys import write_whole
from server.sandbox.rendering import Rendering
from server.sandbox.web import PAGE_HEADERS

_COOKIE = "sandbox_tester"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN_TO_ALL = ("/pay/", "/scan", "/assets/")
"""What buyers reach: the addresses are secrets, or lead to one."""


def load_or_make_token(folder: Path) -> tuple[Path, str]:
    """Return the testers' token and the file of mode 0600 that holds it. Raises OSError."""
    path = folder / "tester.token"
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(24).encode(), mode=0o600)
    return path, path.read_text().strip()


class Door:
    """ASGI middleware around the whole sandbox. Without a `token` it listens on loopback alone, and asks for none."""

    def __init__(
        self, app: ASGIApp, *, base_url: str, merchants: Sequence[str], rendering: Rendering, token: str | None
    ) -> None:
        """`merchants` are the beginnings of paths that merchants call."""
        parts = urlsplit(base_url)
        self._app = app
        self._origin, self._host = f"{parts.scheme}://{parts.netloc}".lower(), (parts.hostname or "").lower()
        self._merchants = tuple(merchants)
        self._rendering = rendering
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or answer instead."""
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        if path.startswith(self._merchants):
            return None
        if self._token is None and not self._is_named_right(request):
            return self._rendering.problem(request, 403, "other_site")
        if request.method not in _SAFE and not self._is_from_here(request):
            return self._rendering.problem(request, 403, "other_site")
        if self._token is None or path.startswith(_OPEN_TO_ALL):
            return None
        return self._without_token(request, self._token)

    def _is_named_right(self, request: Request) -> bool:
        """Whether it is asked for by a name of this machine: a name of somebody else's may lead here as well."""
        host = (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
        if host in {self._host, "localhost"}:
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def _is_from_here(self, request: Request) -> bool:
        """Whether a form comes from a page of ours; programs name neither site nor origin."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site is not None:
            return site in {"same-origin", "none"}
        own = {self._origin, f"{request.url.scheme}://{request.headers.get('host', '')}".lower()}
        return origin is None or origin.lower() in own

    def _without_token(self, request: Request, token: str) -> Response | None:
        """The answer to who does not have it; who brings it in the address gets a cookie and the address without it."""
        brought = request.query_params.get("token")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        shown = (brought, bearer, request.cookies.get(_COOKIE))
        if not any(one and hmac.compare_digest(one.encode(), token.encode()) for one in shown):
            return self._rendering.problem(request, 401, "token")
        if brought is None:
            return None
        led = RedirectResponse(self._rendering.root + request.url.path, status_code=303, headers=PAGE_HEADERS)
        secure = self._origin.startswith("https:")
        led.set_cookie(_COOKIE, token, httponly=True, samesite="strict", secure=secure)
        return led
