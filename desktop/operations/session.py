"""Signing in and out, and who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from desktop.credentials import Place
from desktop.engine.engine import Engine
from desktop.engine.session import Account
from desktop.engine.transport import normalise_server
from shared.contracts.identity import Person
from shared.permissions import Permission, Role, allows

__all__ = ["SignedInAs", "SignedOutFrom", "current", "may", "sign_in", "sign_in_with_token", "sign_out"]


@dataclass(frozen=True, slots=True)
class SignedInAs:
    """Who is signed in now, where, and where the token is kept (MEMORY: the next start asks again)."""

    person: Person
    server: str
    place: Place


@dataclass(frozen=True, slots=True)
class SignedOutFrom:
    """Who was signed in, or None when nobody was."""

    login: str | None
    server: str | None


async def sign_in(
    engine: Engine, *, server: str, login: str, password: SecretStr, totp: str | None = None, allow_plain: bool = False
) -> SignedInAs:
    """Sign in; replaces whoever was signed in. `server` is what a person typed.

    Raises BadField (server), NotSignedIn or its kin when name, password or code are wrong, TooMany, transport errors,
    NoKeyring / NoPassphrase / WrongPassphrase when the token cannot be kept.
    """
    account = await engine.session.sign_in(
        server=normalise_server(server, allow_plain=allow_plain), login=login.strip(), password=password, totp=totp
    )
    return await _tell(engine, account)


async def sign_in_with_token(
    engine: Engine, *, server: str, token: SecretStr, device_id: UUID | None = None, allow_plain: bool = False
) -> SignedInAs:
    """Work with a token obtained elsewhere, for this run only. Needs an engine with `remember=False`.

    Without the id of the device that the token was made for it can read but not import (TokenOnlyReads).
    """
    account = await engine.session.adopt(
        server=normalise_server(server, allow_plain=allow_plain),
        token=token.get_secret_value(),
        device_id=device_id,
    )
    return await _tell(engine, account)


async def _tell(engine: Engine, account: Account) -> SignedInAs:
    await engine.signed_in(account)
    return SignedInAs(person=account.person, server=account.server, place=engine.session.place)


async def sign_out(engine: Engine) -> SignedOutFrom:
    """End the session. Works offline too: the token is forgotten here in any case. Unfinished imports stay."""
    before = engine.session.account
    await engine.session.sign_out()
    await engine.signed_out(None)
    if before is None:
        return SignedOutFrom(login=None, server=None)
    return SignedOutFrom(login=before.person.login, server=before.server)


def current(engine: Engine) -> Person | None:
    """Who is signed in. Safe from any thread."""
    account = engine.account
    return None if account is None else account.person


def may(engine: Engine, permission: Permission) -> bool:
    """Whether the signed-in person may do this: for greying out. The server decides. Safe from any thread."""
    person = current(engine)
    if person is None:
        return False
    return permission in person.permissions if person.permissions else allows(Role(person.role), permission)
