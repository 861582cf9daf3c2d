"""Reconciliation: what later bills, other people and other merchants change about a day."""

from __future__ import annotations

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled as its domain grows."""


def downgrade() -> None:
    """Filled as its domain grows."""
