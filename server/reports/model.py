"""The one table of reports: in which layouts people want their workbooks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, Instant, Uid, big_text, exact


class ReportLayout(Base):
    """A layout of the finance workbook that a person keeps under a name. `layout` is the console's own text."""

    __tablename__ = "report_layout"

    user_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    name: Mapped[str] = mapped_column(exact(40), primary_key=True)
    layout: Mapped[str] = mapped_column(big_text())
    saved_at: Mapped[datetime] = mapped_column(Instant)
