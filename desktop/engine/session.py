"""Who is signed in, and every request made in that person's name.

Guarantees: a rotated token is stored before it is used; one rotation at a time on this machine, over all programs;
a request that meets an ended session is tried once more with the newest token, then the session counts as ended.
The token is in memory and in the vault, nowhere else; the account (server, name, rights) is a setting of the outbox,
so that the console opens offline for the person who used it last.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from desktop.credentials import Place, Vault
from desktop.engine.stores import Stores
from desktop.engine.transport import Call, Transport
from desktop.locks import FileLock
from desktop.paths import Folders
from shared.contracts.identity import PROTOCOL, Device, Hello, HelloAnswer, Person, Session, SignIn
from shared.errors import KamengError, NotSignedIn

APP_VERSION = "0.1.0"
_ACCOUNT_SETTING = "account"
_LOCK_PAUSE_SECONDS = 0.05
_SETTLE_SECONDS = 5.0

T = TypeVar("T")


class SessionEnded(NotSignedIn):
    """The server does not accept the token any more."""

    code = "session_ended"
    zh = "登录已失效，请重新登录。未完成的导入会保留，登录后自动继续。"
    en = "The sign-in has ended; please sign in again. Unfinished imports are kept and go on afterwards."


class ProtocolTooOld(KamengError):
    """The server does not speak this console's protocol any more."""

    code = "protocol_too_old"
    status = 409
    zh = "服务器需要更新版本的 Kameng 控制台（服务器协议 {theirs}，本程序 {ours}）。请安装新版本。"
    en = "The server needs a newer console (its protocol is {theirs}, this one speaks {ours}). Install the new version."


class TokenOnlyReads(KamengError):
    """A borrowed token cannot be rotated here: the server would take it for stolen and end it."""

    code = "token_only_reads"
    status = 409
    zh = "KAMENG_TOKEN 只能用于查询。导入请另设 KAMENG_DEVICE（取得该令牌时的设备号），或改用 KAMENG_PASSWORD_FILE。"
    en = "KAMENG_TOKEN alone only reads. To import set KAMENG_DEVICE (its device's id), or use KAMENG_PASSWORD_FILE."


class ImportKey(BaseModel):
    """The server's current public key for import chunks, and the sizes it takes."""

    model_config = ConfigDict(frozen=True)

    key_id: str
    public_key: str
    chunk_rows: int
    chunk_bytes: int


class Account(BaseModel):
    """The signed-in person on a server, as remembered between starts. It holds no secret."""

    model_config = ConfigDict(frozen=True)

    server: str
    person: Person
    import_key: ImportKey | None = None
    epoch: str = ""

    @property
    def name(self) -> str:
        """What the vault and the outbox know the account by."""
        return f"{self.person.login}@{self.server}"

    @property
    def scope(self) -> str:
        """Whose lists the replica holds."""
        return f"{self.server}|{self.person.id}"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a hello brought besides the token."""

    account: Account
    cursor: int


class SignedSession:
    """The session of the engine. Use from the engine's loop only.

    With `remember` false nothing is stored but in memory: a run with KAMENG_TOKEN or KAMENG_PASSWORD_FILE must not
    change who is signed in on the window. `ended` is called when the server ended the session.
    """

    def __init__(
        self,
        *,
        folders: Folders,
        stores: Stores,
        vault: Vault,
        language: Callable[[], str],
        remember: bool,
        ended: Callable[[KamengError], Awaitable[None]],
    ) -> None:
        self.account: Account | None = None
        self.remember = remember
        self._folders = folders
        self._stores = stores
        self._vault = vault
        self._language = language
        self._ended = ended
        self._transport: Transport | None = None
        self._greeting = asyncio.Lock()
        self._rotation: asyncio.Task[Greeting] | None = None
        self._borrowed = False
        self._device_id: UUID | None = None

    @property
    def place(self) -> Place:
        """Where the token is kept."""
        return self._vault.place if self.remember else Place.MEMORY

    @property
    def clock_off_seconds(self) -> int:
        """This machine's clock minus the server's."""
        return 0 if self._transport is None else self._transport.clock_off_seconds

    def require_account(self) -> Account:
        """The account, or NotSignedIn."""
        if self.account is None:
            raise NotSignedIn
        return self.account

    async def restore(self) -> Account | None:
        """Who was signed in when the console was last open, if the token is still in the vault. No network.

        Raises NoPassphrase, WrongPassphrase or NoKeyring when the vault does not open.
        """
        if not self.remember:
            return None
        stored = await self._stores.outbox(lambda outbox: outbox.setting(_ACCOUNT_SETTING))
        if stored is None:
            return None
        try:
            account = Account.model_validate_json(stored)
        except ValidationError:  # written by another version: sign in again
            return None
        token = await asyncio.to_thread(self._vault.load, account.name)
        if token is None:
            return None
        await self._connect(account.server)
        self._bearer(token)
        self.account = account
        return account

    async def sign_in(self, *, server: str, login: str, password: SecretStr, totp: str | None) -> Account:
        """Sign in with a password on `server` (a base URL). Raises what the server refuses, and transport errors."""
        device = Device(
            id=await self._stores.outbox(lambda outbox: outbox.device_id()),
            name=platform.node()[:120] or "kameng",
            platform=f"{platform.system()} {platform.release()}".strip()[:120] or "unknown",
        )
        body = SignIn(login=login, password=password, totp=totp, device=device)
        transport = await self._connect(server)
        transport.token = None
        session = await transport.ask(Call("POST", "/api/session", body=body), Session)
        return await self._accept(server, session.person, session.token.get_secret_value())

    async def adopt(self, *, server: str, token: str, device_id: UUID | None) -> Account:
        """Work with a token that somebody else obtained (KAMENG_TOKEN). Only without `remember`.

        A token is bound to the device it was made for: only with its id may this session say hello, which uses the
        token up.
        """
        assert not self.remember
        self._device_id, self._borrowed = device_id, True
        transport = await self._connect(server)
        transport.token = token
        person = await transport.ask(Call("GET", "/api/session"), Person)
        return await self._accept(server, person, token)

    async def greet(self, cursor: int = 0) -> Greeting:
        """Say hello: rotates the token and brings rights, limits and the import key up to date."""
        if self._borrowed and self._device_id is None:
            raise TokenOnlyReads
        # The server forgets the old token when it answers: whoever stops waiting, the new one is still stored.
        self._rotation = asyncio.create_task(self._rotate(cursor))
        self._rotation.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._rotation)

    async def settle(self) -> None:
        """Before the engine ends: let a rotation that is under way store its token, for a few seconds."""
        if self._rotation is not None:
            await asyncio.wait({self._rotation}, timeout=_SETTLE_SECONDS)

    async def import_key(self) -> ImportKey:
        """The key that chunks are sealed to: the last one heard of, or asked now. Works offline after a first hello."""
        known = self.require_account().import_key
        if known is None:
            known = (await self.greet()).account.import_key
            assert known is not None
        return known

    async def forget_import_key(self) -> None:
        """The server does not take chunks sealed to this key any more: ask for the new one next time."""
        if self.account is not None:
            await self._keep_account(self.account.model_copy(update={"import_key": None}))

    async def sign_out(self) -> None:
        """End the session on the server if it can be reached, and forget the token in any case."""
        account, transport = self.account, self._transport
        if account is None or transport is None:
            return
        self.account = None  # nothing more is asked from here on, and what was asked before ends nothing
        try:
            await transport.tell(Call("DELETE", "/api/session"))
        except KamengError:
            pass  # offline, or ended already: without the token nobody can use it from here
        finally:
            await self._forget(account)

    async def ask(self, call: Call, answer: type[T] | TypeAdapter[T]) -> T:
        """Send a call in the person's name and read its answer. Raises KamengError subclasses only."""
        return await self._with_newest_token(lambda transport: transport.ask(call, answer))

    async def tell(self, call: Call) -> None:
        """Send a call whose answer has no body worth reading."""
        await self._with_newest_token(lambda transport: transport.tell(call))

    async def close(self) -> None:
        """Close the connections; the person stays signed in."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    # --- how --------------------------------------------------------------------------------------------------

    async def _with_newest_token(self, send: Callable[[Transport], Awaitable[T]]) -> T:
        account, transport = self.require_account(), self._require_transport()
        used = transport.token
        try:
            return await send(transport)
        except NotSignedIn:
            # Another request, or another program of this user, may have rotated the token meanwhile.
            if transport.token == used:
                await self._take_newest_token(account, transport)
            if transport.token == used:
                await self._end(account)
                raise SessionEnded from None
        try:
            return await send(transport)
        except NotSignedIn:
            await self._end(account)
            raise SessionEnded from None

    async def _rotate(self, cursor: int) -> Greeting:
        account, transport = self.require_account(), self._require_transport()
        async with self._greeting:
            lock = FileLock(self._folders.locks / "token.lock")
            while not lock.try_acquire():  # noqa: ASYNC110 - the holder is another program: no event reaches us
                await asyncio.sleep(_LOCK_PAUSE_SECONDS)
            try:
                await self._take_newest_token(account, transport)
                answer = await self._hello(transport, cursor)
                if self._left(account):
                    raise NotSignedIn
                await self._keep_token(account.name, answer.token.get_secret_value())
            finally:
                lock.release()
            transport.token = answer.token.get_secret_value()
        key = ImportKey(
            key_id=answer.import_key_id,
            public_key=answer.import_public_key,
            chunk_rows=answer.chunk_rows,
            chunk_bytes=answer.chunk_bytes,
        )
        changed = Account(server=account.server, person=answer.person, import_key=key, epoch=str(answer.epoch))
        if changed != account:
            await self._keep_account(changed)
        return Greeting(account=changed, cursor=answer.cursor)

    async def _hello(self, transport: Transport, cursor: int) -> HelloAnswer:
        device_id = self._device_id or await self._stores.outbox(lambda outbox: outbox.device_id())
        body = Hello(protocol=PROTOCOL, device_id=device_id, app_version=APP_VERSION, cursor=cursor)
        try:
            answer = await transport.ask(Call("POST", "/sync/v1/hello", body=body), HelloAnswer)
        except NotSignedIn:
            account = self.require_account()
            await self._end(account)
            raise SessionEnded from None
        if answer.protocol != PROTOCOL:
            raise ProtocolTooOld(theirs=answer.protocol, ours=PROTOCOL)
        return answer

    async def _accept(self, server: str, person: Person, token: str) -> Account:
        before = self.account
        if before is not None and (before.server, before.person.id) != (server, person.id):
            await self._forget(before)
        account = Account(server=server, person=person)
        await self._keep_token(account.name, token)
        self._bearer(token)
        if self.remember:
            await self._stores.replica(lambda replica: replica.forget_others(scope=account.scope))
        await self._keep_account(account)
        return account

    async def _keep_account(self, account: Account) -> None:
        self.account = account
        if self.remember:
            text = account.model_dump_json()
            await self._stores.outbox(lambda outbox: outbox.set_setting(_ACCOUNT_SETTING, text))

    async def _keep_token(self, name: str, token: str) -> None:
        if self.remember:
            await asyncio.to_thread(self._vault.save, name, token)

    async def _take_newest_token(self, account: Account, transport: Transport) -> None:
        if self.remember:
            stored = await asyncio.to_thread(self._vault.load, account.name)
            if stored is not None:
                transport.token = stored

    def _left(self, account: Account) -> bool:
        """Whether the person signed out, and perhaps somebody else in, since this was their account."""
        return self.account is None or self.account.name != account.name

    async def _end(self, account: Account) -> None:
        if self._left(account):
            return
        await self._forget(account, keep_lists=True)
        await self._ended(SessionEnded())

    async def _forget(self, account: Account, *, keep_lists: bool = False) -> None:
        """Forget token and account; after a sign-out also the lists, which the next person must not see."""
        self.account = None
        if self._transport is not None:
            self._transport.token = None
        if self.remember:
            await asyncio.to_thread(self._vault.delete, account.name)
            await self._stores.outbox(lambda outbox: outbox.set_setting(_ACCOUNT_SETTING, None))
            if not keep_lists:
                await self._stores.replica(lambda replica: replica.forget_others(scope=None))

    async def _connect(self, server: str) -> Transport:
        if self._transport is None or self._transport.server != server:
            await self.close()
            self._transport = Transport(server, app_version=APP_VERSION, language=self._language)
        return self._transport

    def _require_transport(self) -> Transport:
        if self._transport is None:
            raise NotSignedIn
        return self._transport

    def _bearer(self, token: str) -> None:
        self._require_transport().token = token
