"""Images beside a refund: what the buyer photographed, and what the supplier shows for its answer.

They lie in the database, apart from what lists read, and are given out to that order's buyer, that refund's supplier
and the shop's staff alone. What an image is, its first bytes say: neither its name nor what the sender calls it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select

from server import audit, changes
from server.db import Tx
from server.payments.refunds.model import Refund, RefundImage
from server.payments.refunds.moving import DOMAIN, SHOP_DOMAIN, Held
from shared import clock, ids
from shared.errors import BadInput
from shared.sentence import Sentence

Party = Literal["buyer", "supplier"]

MOST = 3
"""Images that each party may show."""

LARGEST_BYTES = 2 * 1024 * 1024

MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
"""Every kind that is taken, and what it is called when it is given out."""


class UnusableImage(BadInput):
    """What was sent is no image that is taken here, too large, or one too many."""

    code = "unusable_image"
    status = 422
    zh = "图片没有收下：{reason}。"
    en = "The image was not taken: {reason}."


_TOO_LARGE = Sentence("每张不能超过 2 MB", "each may have 2 MB")
_NOT_A_KIND = Sentence("只收 JPEG、PNG 和 WebP 图片", "it must be a JPEG, PNG or WebP image")
_TOO_MANY = Sentence(f"最多 {MOST} 张", f"{MOST} are the most")


@dataclass(frozen=True, slots=True)
class Shown:
    """That there is an image, without it."""

    id: UUID
    party: str
    n: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One image and what it is."""

    kind: str
    content: bytes

    @property
    def media_type(self) -> str:
        """What it is called when it is given out: of the few that are taken."""
        return MEDIA_TYPES[self.kind]


def judged(contents: Sequence[bytes]) -> list[Picture]:
    """The images as they may be kept. Raises UnusableImage."""
    if len(contents) > MOST:
        raise UnusableImage(reason=_TOO_MANY)
    return [_judged(content) for content in contents]


def _judged(content: bytes) -> Picture:
    if len(content) > LARGEST_BYTES:
        raise UnusableImage(reason=_TOO_LARGE)
    kind = _kind_of(content)
    if kind is None:
        raise UnusableImage(reason=_NOT_A_KIND)
    return Picture(kind, content)


def _kind_of(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def add(tx: Tx, held: Held, party: Party, pictures: Sequence[Picture], *, actor: str) -> None:
    """Keep more images of a party beside a refund that is held. Raises UnusableImage where there are enough."""
    refund = held.refund
    its = (RefundImage.refund_id == refund.id, RefundImage.party == party)
    before = tx.scalar(select(func.count()).select_from(RefundImage).where(*its)) or 0
    if before + len(pictures) > MOST:
        raise UnusableImage(reason=_TOO_MANY)
    for n, picture in enumerate(pictures, start=before + 1):
        tx.add(
            RefundImage(
                id=ids.new_id(),
                refund_id=refund.id,
                party=party,
                n=n,
                kind=picture.kind,
                content=picture.content,
                added_by=actor,
                added_at=clock.now(),
            )
        )
    refund.version += 1
    tx.flush()
    domain = DOMAIN if refund.supplier_id else SHOP_DOMAIN
    changes.append(tx, "refund", refund.id, domain=domain, supplier_id=refund.supplier_id)
    audit.append(
        tx,
        actor=actor,
        action="refund.images",
        entity="refund",
        entity_id=refund.out_refund_no,
        detail={"order": refund.order_code, "party": party, "images": len(pictures)},
    )


def of(tx: Tx, refund_ids: Sequence[UUID]) -> dict[UUID, list[Shown]]:
    """Which images there are beside these refunds: the buyer's first, in their order."""
    found: dict[UUID, list[Shown]] = defaultdict(list)
    names = select(RefundImage.refund_id, RefundImage.id, RefundImage.party, RefundImage.n)
    wanted = names.where(RefundImage.refund_id.in_(list(refund_ids))).order_by(RefundImage.party, RefundImage.n)
    for refund_id, image_id, party, n in tx.execute(wanted):
        found[refund_id].append(Shown(image_id, party, n))
    return found


def read(tx: Tx, image_id: UUID, *, refund_id: UUID) -> Picture | None:
    """One image of a refund that its caller may know."""
    which = (RefundImage.id == image_id, RefundImage.refund_id == refund_id)
    found = tx.execute(select(RefundImage.kind, RefundImage.content).where(*which)).first()
    return Picture(*found) if found else None


def read_of_order(tx: Tx, image_id: UUID, *, order_id: UUID) -> Picture | None:
    """One image of any refund of an order that its caller may know."""
    query = select(Refund.id).join(RefundImage, RefundImage.refund_id == Refund.id)
    refund_id = tx.scalar(query.where(RefundImage.id == image_id, Refund.order_id == order_id))
    return read(tx, image_id, refund_id=refund_id) if refund_id else None
