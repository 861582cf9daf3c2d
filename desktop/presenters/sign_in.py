"""The sign-in screen: what was typed, what is missing, what the server said, and whether it wants a second factor."""

from __future__ import annotations

from pydantic import SecretStr

from desktop.credentials import Place
from desktop.operations import session
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from shared.errors import KamengError

__all__ = ["Place", "SignIn"]


class SignIn(Watched):
    """The state of the form. The password passes through and is not kept.

    Attributes:
        place: where this machine keeps tokens; None until the keyring was looked at.
        busy: the server is being asked.
        error: what it answered, or None.
        wants_totp: the server asked for the code of the second factor.
    """

    def __init__(self, ask: Ask, *, place: Place | None = None, server: str = "", login: str = "") -> None:
        super().__init__()
        self._ask = ask
        self.place = place
        self.server = server
        self.login = login
        self.busy = False
        self.error: Exception | None = None
        self.wants_totp = False

    @property
    def keeps_token(self) -> bool:
        """Whether the next start will not ask again."""
        return self.place not in {None, Place.MEMORY}

    def kept_at(self, place: Place) -> None:
        """It turned out where this machine keeps tokens."""
        self.place = place
        self.changed()

    def submit(self, *, server: str, login: str, password: str, totp: str) -> None:
        """Sign in with what was typed. Does nothing while an answer is awaited."""
        if self.busy:
            return
        self.server, self.login = server.strip(), login.strip()
        self.busy, self.error = True, None
        self.changed()
        secret = SecretStr(password)
        code = totp.replace(" ", "") or None
        self._ask(
            lambda engine: session.sign_in(engine, server=self.server, login=self.login, password=secret, totp=code),
            self._done,
            self._failed,
        )

    def ended(self, why: Exception | None) -> None:
        """The session ended; `why` is shown over the form, or None when the person left."""
        self.busy, self.wants_totp, self.error = False, False, why
        self.changed()

    def _done(self, signed_in: session.SignedInAs) -> None:
        self.busy, self.wants_totp = False, False
        self.place = signed_in.place
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.busy, self.error = False, error
        params = error.params if isinstance(error, KamengError) else {}
        if str(params.get("code", getattr(error, "code", ""))).startswith("totp_"):
            self.wants_totp = True
        self.changed()
