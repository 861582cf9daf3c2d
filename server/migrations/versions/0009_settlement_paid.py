"""Settlement: what was paid of a statement, and how a payment is split."""

from __future__ import annotations

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled as its domain grows."""


def downgrade() -> None:
    """Filled as its domain grows."""
