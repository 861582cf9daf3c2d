"""What the shop has settled about payments: the channels' rates, and from what amount two people decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from server.settings import Settings
from shared.money import PPM, Fen


@dataclass(frozen=True, slots=True)
class Terms:
    """What the shop has settled: each channel's rate, and how soon money that bought nothing goes back by itself.

    `check_above`: what people confirm above it needs one of finance.
    """

    fee_ppm: Mapping[str, int] = field(default_factory=dict)
    refund_after: timedelta = timedelta()
    check_above: Fen = 0

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        """The terms of a deployment."""
        after = timedelta(minutes=settings.refund_after_minutes)
        return cls(settings.channel_fee_ppm, after, settings.refund_check_fen)

    def fee_of(self, channel: str, amount: Fen) -> Fen:
        """The channel's fee as we expect it, half a fen rounded up; its bill has the last word."""
        return (amount * self.fee_ppm.get(channel, 0) + PPM // 2) // PPM


UNSETTLED = Terms()
"""Channels keep nothing, and nothing waits."""
