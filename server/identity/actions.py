"""Writes about people: users, suppliers, sessions, second factors. Each takes a `tx` and never commits.

`recognise` is the exception: it is what policy asks at each request, so it opens its own transactions.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import pyotp
from sqlalchemy import Select, bindparam, or_, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, telemetry
from server.crypto import KeyRing
from server.db import Database, Tx, rows_changed
from server.identity.model import Device, Session, SettlementMode, Supplier, User
from server.policy import Actor, Kind
from shared import clock
from shared.contracts.identity import Device as DeviceFacts
from shared.errors import Conflict, KamengError, NotFound
from shared.ids import new_id, new_session_token
from shared.permissions import Role

PREVIOUS_SECONDS = 60
"""How long the token before the last rotation is accepted: an answer may be lost, and uploads may be under way."""

TOUCH_AFTER = timedelta(minutes=10)
"""`seen_at` is written this seldom: a read request should not be a write."""

TOTP_STEP_SECONDS = 30
_TOTP_PURPOSE = "totp"


class LoginTaken(Conflict):
    """The login name is in use, maybe by somebody who was disabled."""

    code = "login_taken"
    zh = "登录名“{login}”已被使用。"
    en = "The login “{login}” is already in use."


class SupplierTaken(Conflict):
    """The supplier's name is in use."""

    code = "supplier_taken"
    zh = "供应商“{name}”已存在。"
    en = "There is already a supplier “{name}”."


class LastAdmin(Conflict):
    """Disabling the last administrator would lock everybody out."""

    code = "last_admin"
    zh = "这是最后一位管理员，不能停用。"
    en = "This is the last administrator and cannot be disabled."


class WrongSignIn(KamengError):
    """Login or password is wrong, or the person is disabled: the answer does not tell which."""

    code = "wrong_sign_in"
    status = 401
    zh = "登录名或密码不正确。"
    en = "The login or the password is not right."


class TotpNeeded(KamengError):
    """The password is right; the code of the second factor is missing."""

    code = "totp_needed"
    status = 401
    zh = "请输入验证器应用中的 6 位动态码。"
    en = "Enter the 6-digit code of your authenticator app."


class TotpWrong(KamengError):
    """The code is not the current one, or was used before."""

    code = "totp_wrong"
    status = 401
    zh = "动态码不正确或已使用过，请等待下一个。"
    en = "The code is not right or was used already; wait for the next one."


class TotpMustEnrol(KamengError):
    """Money and administration need a second factor in a live shop."""

    code = "totp_must_enrol"
    status = 403
    zh = "正式环境中，管理员和财务必须先启用动态码。请在服务器上运行 kameng-server user totp {login}。"
    en = "In a live shop administrators and finance need a second factor first: `kameng-server user totp {login}`."


class TotpNotEnrolled(KamengError):
    """What the person wants needs a second factor, which they do not have yet."""

    code = "totp_not_enrolled"
    status = 403
    zh = "此操作需要动态码，您的账号尚未启用。请管理员在服务器上运行 kameng-server user totp {login}。"
    en = "This needs a second factor, which you do not have yet: `kameng-server user totp {login}` on the server."


class PresenceUnproved(KamengError):
    """The code for one action is wrong or used; the session itself is as good as before."""

    code = "presence_unproved"
    status = 403
    zh = "动态码不正确或已使用过，请等待下一个。"
    en = "The code is not right or was used already; wait for the next one."


@dataclass(frozen=True, slots=True)
class NewSession:
    """A token as it is given out, once."""

    id: UUID
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Present:
    """A person who has just proved to be there."""

    login: str
    name: str


@dataclass(frozen=True, slots=True)
class TotpEnrolment:
    """What the person's authenticator needs, once."""

    secret: str
    uri: str


# --- users and suppliers ---


def create_supplier(
    tx: Tx,
    *,
    name: str,
    fee_ppm: int,
    settlement_mode: SettlementMode = SettlementMode.PROFIT_SHARING,
    actor: str,
    request_id: str | None = None,
) -> UUID:
    """Add a supplier. `fee_ppm` is the platform's rate in millionths. Raises SupplierTaken."""
    supplier = Supplier(
        id=new_id(), name=name, fee_ppm=fee_ppm, settlement_mode=settlement_mode.value, created_at=clock.now()
    )
    try:
        with tx.begin_nested():
            tx.add(supplier)
            tx.flush()
    except IntegrityError:
        raise SupplierTaken(name=name) from None
    audit.append(
        tx,
        actor=actor,
        action="supplier.create",
        entity="supplier",
        entity_id=str(supplier.id),
        detail={"name": name, "fee_ppm": fee_ppm, "settlement_mode": settlement_mode.value},
        request_id=request_id,
    )
    return supplier.id


def create_user(
    tx: Tx,
    *,
    login: str,
    name: str,
    role: Role,
    password_hash: str,
    supplier_id: UUID | None = None,
    actor: str,
    request_id: str | None = None,
) -> UUID:
    """Add a person; the caller hashed the password before the transaction. A supplier's person has a supplier.

    Raises LoginTaken.
    """
    assert (role is Role.SUPPLIER) == (supplier_id is not None), "a supplier's person has a supplier, nobody else"
    now = clock.now()
    user = User(
        id=new_id(),
        login=login,
        name=name,
        role=role.value,
        supplier_id=supplier_id,
        password_hash=password_hash,
        password_at=now,
        totp_last=0,
        active=True,
        created_at=now,
    )
    try:
        with tx.begin_nested():
            tx.add(user)
            tx.flush()
    except IntegrityError:
        raise LoginTaken(login=login) from None
    audit.append(
        tx,
        actor=actor,
        action="user.create",
        entity="user",
        entity_id=str(user.id),
        detail={"login": login, "role": role.value},
        request_id=request_id,
    )
    return user.id


def set_password(tx: Tx, user_id: UUID, *, password_hash: str, actor: str, request_id: str | None = None) -> None:
    """Replace a password and end all sessions of the person: who knew the old one is out. Raises NotFound."""
    changed = tx.execute(
        update(User).where(User.id == user_id).values(password_hash=password_hash, password_at=clock.now())
    )
    if rows_changed(changed) != 1:
        raise NotFound
    end_sessions_of(tx, user_id, reason="password_changed")
    audit.append(tx, actor=actor, action="user.password", entity="user", entity_id=str(user_id), request_id=request_id)


def set_active(tx: Tx, user_id: UUID, *, active: bool, actor: str, request_id: str | None = None) -> None:
    """Disable a person, which ends all sessions at once, or enable again. Raises NotFound, LastAdmin."""
    user = tx.scalars(select(User).where(User.id == user_id).with_for_update()).first()
    if user is None:
        raise NotFound
    if not active and user.role == Role.ADMIN.value:
        admins = tx.scalars(select(User.id).where(User.role == Role.ADMIN.value, User.active).with_for_update()).all()
        if list(admins) == [user_id]:
            raise LastAdmin
    user.active = active
    tx.flush()
    if not active:
        end_sessions_of(tx, user_id, reason="disabled")
    audit.append(
        tx,
        actor=actor,
        action="user.enable" if active else "user.disable",
        entity="user",
        entity_id=str(user_id),
        request_id=request_id,
    )


# --- sessions ---


def start_session(tx: Tx, user: User, device: DeviceFacts, *, days: int, request_id: str | None = None) -> NewSession:
    """Give a person whose factors were checked a token for this device, and register the device if it is new."""
    now = clock.now()
    is_new = _register(tx, user, device, at=now)
    session = NewSession(id=new_id(), token=new_session_token(), expires_at=now + timedelta(days=days))
    tx.add(
        Session(
            id=session.id,
            user_id=user.id,
            device_id=device.id,
            token_sha256=_sha256(session.token),
            previous_sha256=None,
            previous_used=False,
            rotated_at=now,
            created_at=now,
            seen_at=now,
            expires_at=session.expires_at,
        )
    )
    tx.flush()
    audit.append(
        tx,
        actor=Actor(Kind.STAFF, id=user.id).label,
        action="session.start",
        entity="session",
        entity_id=str(session.id),
        detail={"device": str(device.id), "new_device": is_new},
        request_id=request_id,
    )
    return session


def _register(tx: Tx, user: User, facts: DeviceFacts, *, at: datetime) -> bool:
    """Note the device with its present name; answers whether it is new, also to one of two who bring it at once."""
    mine = (Device.id == facts.id, Device.user_id == user.id)
    seen = update(Device).where(*mine).values(name=facts.name, platform=facts.platform, seen_at=at)
    if rows_changed(tx.execute(seen)):
        return False
    device = Device(id=facts.id, user_id=user.id, name=facts.name, platform=facts.platform, created_at=at, seen_at=at)
    try:
        with tx.begin_nested():
            tx.add(device)
            tx.flush()
    except IntegrityError:
        return False
    return True


def end_session(tx: Tx, session_id: UUID, *, reason: str, actor: str, request_id: str | None = None) -> bool:
    """End one session; False when it had ended already."""
    ended = tx.execute(
        update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(ended_at=clock.now(), end_reason=reason)
    )
    if rows_changed(ended) != 1:
        return False
    audit.append(
        tx,
        actor=actor,
        action="session.end",
        entity="session",
        entity_id=str(session_id),
        detail={"reason": reason},
        request_id=request_id,
    )
    return True


def end_sessions_of(tx: Tx, user_id: UUID, *, reason: str) -> int:
    """End all sessions of a person; answers how many. The caller writes the audit row of what caused it."""
    ended = tx.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.ended_at.is_(None))
        .values(ended_at=clock.now(), end_reason=reason)
    )
    return rows_changed(ended)


def rotate(tx: Tx, who: Actor, presented: bytes, *, device_id: UUID, request_id: str | None = None) -> str | None:
    """Exchange the presented token (its SHA-256) for a new one; the presented one stays good for 60 s.

    A client whose answer was lost comes again with the same token: once. Any other repeat, or another device than
    the one that signed in, means that a token was copied: the session ends and None is returned. The caller commits
    in both cases and then answers 401 to the second.
    """
    assert who.session_id is not None
    session = tx.scalars(select(Session).where(Session.id == who.session_id).with_for_update()).first()
    if session is None or session.ended_at is not None:
        return None
    now, token, hexed = clock.now(), new_session_token(), presented.hex()
    if session.device_id != device_id:
        end_session(tx, session.id, reason="device_mismatch", actor=who.label, request_id=request_id)
        return None
    if hmac.compare_digest(session.token_sha256, hexed):
        session.previous_sha256, session.previous_used, session.rotated_at = hexed, False, now
    elif _is_previous(session, hexed, now) and not session.previous_used:
        session.previous_used = True
    else:
        end_session(tx, session.id, reason="token_reuse", actor=who.label, request_id=request_id)
        return None
    session.token_sha256 = _sha256(token)
    session.seen_at = now
    tx.flush()
    return token


def recognise(db: Database, presented: bytes, *, idle: timedelta) -> Actor | None:
    """The actor of a token's SHA-256, or None. Rights are read at each request, so changes count at once.

    A previous token counts as unknown after its 60 s, and ends nothing: the window and the command line of one person
    share the token in the keyring, and whoever did not rotate it finds out by this refusal.
    """
    hexed, now = presented.hex(), clock.now()
    with db.read() as tx:
        row = tx.execute(_live_session(), {"presented": hexed}).first()
    if row is None:
        return None
    session: Session = row.Session
    if session.expires_at <= now or now - session.seen_at > idle:
        return None
    actor = Actor(
        Kind.STAFF,
        id=session.user_id,
        role=Role(row.role),
        supplier_id=row.supplier_id,
        session_id=session.id,
        device_id=session.device_id,
    )
    if session.token_sha256 != hexed and not _is_previous(session, hexed, now):
        telemetry.decision("stale credential", {"actor": actor.label, "session": str(session.id)})
        return None
    if now - session.seen_at > TOUCH_AFTER:
        with db.tx() as tx:
            tx.execute(update(Session).where(Session.id == session.id).values(seen_at=now))
    return actor


@cache  # asked at each request of staff
def _live_session() -> Select[Session, str, UUID | None]:
    """The session that has, or just had, the token of which the hash is `presented`, and whose it is."""
    hexed = bindparam("presented", type_=Session.token_sha256.type)
    return (
        select(Session, User.role, User.supplier_id)
        .join(User, User.id == Session.user_id)
        .where(
            or_(Session.token_sha256 == hexed, Session.previous_sha256 == hexed),
            Session.ended_at.is_(None),
            User.active,
        )
    )


def _is_previous(session: Session, hexed: str, now: datetime) -> bool:
    return session.previous_sha256 == hexed and now - session.rotated_at <= timedelta(seconds=PREVIOUS_SECONDS)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# --- second factor ---


def begin_totp(tx: Tx, user_id: UUID, *, keys: KeyRing, shop: str) -> TotpEnrolment:
    """Make a secret for the person's authenticator. It counts once a first code confirmed it. Raises NotFound."""
    user = tx.scalars(select(User).where(User.id == user_id)).first()
    if user is None:
        raise NotFound
    secret = pyotp.random_base32()
    user.totp_pending = keys.seal_small(_TOTP_PURPOSE, user_id.bytes, secret.encode())
    tx.flush()
    return TotpEnrolment(secret=secret, uri=pyotp.TOTP(secret).provisioning_uri(name=user.login, issuer_name=shop))


def confirm_totp(tx: Tx, user_id: UUID, *, totp: str, keys: KeyRing, actor: str, request_id: str | None = None) -> None:
    """Enrol the pending secret by its first code. Raises NotFound when none is pending, TotpWrong."""
    user = tx.scalars(select(User).where(User.id == user_id).with_for_update()).first()
    if user is None or user.totp_pending is None:
        raise NotFound
    secret = keys.open_small(_TOTP_PURPOSE, user_id.bytes, user.totp_pending)
    step = _step_of(secret, totp)
    if step is None:
        raise TotpWrong
    user.totp_sealed, user.totp_pending, user.totp_last = user.totp_pending, None, step
    tx.flush()
    audit.append(tx, actor=actor, action="user.totp", entity="user", entity_id=str(user_id), request_id=request_id)


def check_totp(tx: Tx, user: User, totp: str | None, *, keys: KeyRing) -> None:
    """Raise TotpNeeded or TotpWrong unless the person's code is right; nothing to do for who has no secret.

    The guarded update makes a code work once, also when two requests bring it at the same moment.
    """
    if user.totp_sealed is None:
        return
    if totp is None:
        raise TotpNeeded
    step = _step_of(keys.open_small(_TOTP_PURPOSE, user.id.bytes, user.totp_sealed), totp)
    if step is None:
        raise TotpWrong
    used = tx.execute(update(User).where(User.id == user.id, User.totp_last < step).values(totp_last=step))
    if rows_changed(used) != 1:
        raise TotpWrong


def prove_presence(tx: Tx, user_id: UUID, totp: str, *, keys: KeyRing) -> Present:
    """The person, whose code of the second factor was right just now and is used up; their row stays locked.

    Raises NotFound, TotpNotEnrolled, PresenceUnproved.
    """
    query = select(User).where(User.id == user_id).with_for_update()
    user = tx.scalars(query.execution_options(populate_existing=True)).first()
    if user is None:
        raise NotFound
    if user.totp_sealed is None:
        raise TotpNotEnrolled(login=user.login)
    try:
        check_totp(tx, user, totp, keys=keys)
    except TotpWrong:
        raise PresenceUnproved from None
    return Present(login=user.login, name=user.name)


def _step_of(secret: bytes, totp: str) -> int | None:
    """The time step a code belongs to, at most one before or after now: clocks of phones differ."""
    source = pyotp.TOTP(secret.decode())
    current = int(clock.now().timestamp()) // TOTP_STEP_SECONDS
    for step in (current, current - 1, current + 1):
        if hmac.compare_digest(source.generate_otp(step), totp):
            return step
    return None
