"""Reads about people: the staff list, suppliers, and what catalog needs of a supplier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from uuid import UUID

from sqlalchemy import Row, Subquery, select

from server.db import Tx
from server.identity.model import SettlementMode, Supplier, User
from server.policy import Actor, Kind, visible
from shared import ids
from shared.contracts import identity as wire
from shared.contracts.base import Page
from shared.errors import NotSignedIn
from shared.permissions import Permission, Role, allows


@cache
def supplier_terms() -> Subquery:
    """What other domains see of all suppliers, to join with: `id`, `name`, `fee_ppm`, `settlement_mode` and `tier`."""
    seen = (Supplier.id, Supplier.name, Supplier.fee_ppm, Supplier.settlement_mode, Supplier.tier)
    return select(*seen).subquery("supplier_terms")


@cache
def paid_by_splits() -> Subquery:
    """The suppliers who are paid by splits of payments, today, to join with: `id`."""
    theirs = select(Supplier.id).where(Supplier.settlement_mode == SettlementMode.PROFIT_SHARING.value)
    return theirs.subquery("paid_by_splits")


def supplier_names(tx: Tx) -> dict[UUID, str]:
    """Names of all suppliers by id; there are tens of them, not thousands."""
    return dict(tx.execute(select(Supplier.id, Supplier.name)).all())


def owner_name(owner: str, suppliers: Mapping[UUID, str]) -> str:
    """What people call the owner of an account of the ledger: a supplier's name, a distributor as it is spoken of, a
    channel's code as it is.
    """
    if len(owner) != 32:
        return owner
    payee = UUID(hex=owner)
    return suppliers.get(payee) or ids.speak_distributor(payee)


def supplier_by_name(tx: Tx, name: str) -> UUID | None:
    """The supplier of that exact name."""
    return tx.scalars(select(Supplier.id).where(Supplier.name == name)).first()


def supplier_exists(tx: Tx, who: Actor, supplier_id: UUID) -> bool:
    """Whether the actor knows such a supplier."""
    return tx.scalars(visible(who, Supplier).where(Supplier.id == supplier_id)).first() is not None


def suppliers(tx: Tx, who: Actor) -> list[wire.Supplier]:
    """The suppliers the actor may know, by name."""
    rows = tx.scalars(visible(who, Supplier).order_by(Supplier.name))
    return [
        wire.Supplier(
            id=row.id,
            name=row.name,
            fee_ppm=row.fee_ppm,
            settlement_mode=row.settlement_mode,
            created_at=row.created_at,
        )
        for row in rows
    ]


def user_by_login(tx: Tx, login: str) -> User | None:
    """The person of that login, active or not."""
    return tx.scalars(select(User).where(User.login == login)).first()


def names_of(tx: Tx, labels: Iterable[str | None], *, supplier_id: UUID | None = None) -> dict[str, str]:
    """The names of people by how logs call them (`staff:<id>`); what is no person's label is missing.

    With a `supplier_id` only those of its own people.
    """
    prefix = f"{Kind.STAFF.value}:"
    wanted = {UUID(label.removeprefix(prefix)): label for label in labels if label and label.startswith(prefix)}
    if not wanted:
        return {}
    query = select(User.id, User.name).where(User.id.in_(wanted))
    found = tx.execute(query if supplier_id is None else query.where(User.supplier_id == supplier_id))
    return {wanted[user_id]: name for user_id, name in found}


def may(tx: Tx, label: str | None, permission: Permission) -> bool:
    """Whether the person whom logs call so (`staff:<id>`) has the right by the role of today."""
    prefix = f"{Kind.STAFF.value}:"
    if label is None or not label.startswith(prefix):
        return False
    role = tx.scalars(select(User.role).where(User.id == UUID(label.removeprefix(prefix)))).first()
    return role is not None and allows(Role(role), permission)


def users(tx: Tx, *, after: UUID | None = None, limit: int = 200) -> Page[wire.User]:
    """The staff list, in order of creation."""
    query = (
        select(User, Supplier.name.label("supplier"))
        .join(Supplier, Supplier.id == User.supplier_id, isouter=True)
        .order_by(User.id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(User.id > after)
    rows: Sequence[Row[User, str | None]] = tx.execute(query).all()
    items = [user_answer(row.User, row.supplier) for row in rows[:limit]]
    return Page[wire.User](items=items, next=str(items[-1].id) if len(rows) > limit else None)


def user_answer(user: User, supplier: str | None) -> wire.User:
    """One row of the staff list."""
    return wire.User(
        id=user.id,
        login=user.login,
        name=user.name,
        role=Role(user.role),
        supplier_id=user.supplier_id,
        supplier=supplier,
        active=user.active,
        created_at=user.created_at,
    )


def person(tx: Tx, who: Actor) -> wire.Person:
    """Who is signed in, with all rights of the role. Raises NotSignedIn when the user is gone meanwhile."""
    user = tx.scalars(select(User).where(User.id == who.id)).first()
    if user is None:
        raise NotSignedIn
    return wire.Person(
        id=user.id,
        login=user.login,
        name=user.name,
        role=Role(user.role),
        supplier_id=user.supplier_id,
        permissions=who.permissions,
    )
