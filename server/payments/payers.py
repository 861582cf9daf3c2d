"""For whom a payment was opened: a keyed hash of the channel's id of a person, never the id itself.

What is opened inside WeChat can be paid by one person alone. The id is personal data: the buyer's own browser keeps it
(`storefront.payers`), and an attempt only what tells that it is the same one again.
"""

from __future__ import annotations

from server.crypto import KeyRing
from server.gateways.port import NEEDS_PAYER, Payer
from server.payments.model import PaymentAttempt


def hash_of(keys: KeyRing, channel: str, product: str, payer: Payer) -> str | None:
    """What an attempt keeps of its payer; None where the product is anybody's, or nobody knows who it is."""
    if product not in NEEDS_PAYER or payer.user_id is None:
        return None
    return keys.mac(f"payer {channel}", payer.user_id.encode())[:16].hex()


def fits(attempt: PaymentAttempt, payer_hash: str | None) -> bool:
    """Whether the attempt may be this person's: opened for them, for nobody yet, or nobody says who asks."""
    return payer_hash is None or attempt.payer_hash in {None, payer_hash}
