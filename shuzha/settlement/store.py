"""The table of statements: one for each period, kind and subject; a final statement is never changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.settlement.model import Draft, Line, StatementKind


@dataclass(frozen=True, slots=True)
class Statement:
    """A stored statement; `organisation` is whose it is, `digest` that of its content (`model.Draft`)."""

    id: str
    period: str
    kind: StatementKind
    subject: str
    organisation: str
    lines: tuple[Line, ...]
    amount_fen: int
    due_fen: int
    waived_fen: int
    shares: dict[str, int]
    digest: str
    settled_at: dt.datetime
    revision: int = 0

    def as_draft(self) -> Draft:
        """Return what was computed, without who stored it when."""
        return Draft(
            self.kind, self.period, self.subject, self.lines, self.amount_fen, self.due_fen, self.waived_fen,
            self.shares, self.digest,
        )  # fmt: skip


STATEMENTS = Noun("statements", Statement, unique=[("period", "kind", "subject")], index=["organisation", "period"])
