"""Runs the migrations on the connection that `shuzha.server.schema` hands over; there is no alembic.ini."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from shuzha.core.records import METADATA, Json, UTCDateTime


def _render(kind: str, value: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write the house's column types as what they are in the database, so that a migration needs no code of ours."""
    if kind == "type" and isinstance(value, Json):
        return "sa.Text()"
    return "sa.String(length=32)" if kind == "type" and isinstance(value, UTCDateTime) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=METADATA, render_as_batch=True, compare_type=True, render_item=_render
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
