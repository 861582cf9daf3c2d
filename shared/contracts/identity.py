"""Sign-in, the signed-in person, and the console's hello."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, SecretStr

from shared.contracts.base import Answer, Name, Request
from shared.money import PPM
from shared.permissions import Permission, Role

PROTOCOL = 1
"""The version of the console's protocol; the server answers which versions it still speaks."""


class Device(Request):
    """The machine a person signs in on; registered at the first sign-in."""

    id: UUID
    name: Name
    platform: Name


class SignIn(Request):
    """`POST /api/session`. `totp` is needed once the person enrolled a second factor."""

    login: Annotated[str, Field(min_length=1, max_length=64)]
    password: SecretStr
    totp: Annotated[str, Field(pattern=r"^\d{6}$")] | None = None
    device: Device


class Person(Answer):
    """Who is signed in, and what the console may offer."""

    id: UUID
    login: str
    name: str
    role: Role
    supplier_id: UUID | None
    permissions: list[Permission]


class Session(Answer):
    """A new session. The token is shown once; the server keeps its hash."""

    token: SecretStr
    person: Person
    expires_at: datetime


class Hello(Request):
    """`POST /sync/v1/hello`: the console says what it speaks."""

    protocol: int
    device_id: UUID
    app_version: Annotated[str, Field(max_length=32)]
    cursor: int = 0


class HelloAnswer(Answer):
    """The rotated token, the server's time and limits, and the key that import chunks are sealed to."""

    protocol: int
    epoch: UUID
    token: SecretStr
    person: Person
    server_time: datetime
    import_key_id: str
    import_public_key: str = Field(description="raw X25519 public key, base64")
    chunk_rows: int
    chunk_bytes: int
    cursor: int


class NewUser(Request):
    """`POST /api/users`: a member of staff or a supplier's person."""

    login: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,63}$")]
    name: Name
    role: Role
    password: Annotated[SecretStr, Field(min_length=12, max_length=128)]
    supplier: Name | None = None


class User(Answer):
    """One row of the staff list."""

    id: UUID
    login: str
    name: str
    role: Role
    supplier_id: UUID | None
    supplier: str | None
    active: bool
    created_at: datetime


class NewSupplier(Request):
    """`POST /api/suppliers`. `fee_ppm` is the platform's rate in millionths of each sale."""

    name: Name
    fee_ppm: Annotated[int, Field(ge=0, le=PPM)]
    settlement_mode: Annotated[str, Field(pattern=r"^(profit_sharing|purchase)$")] = "profit_sharing"


class Supplier(Answer):
    """A company that brings stock."""

    id: UUID
    name: str
    fee_ppm: int
    settlement_mode: str
    created_at: datetime
