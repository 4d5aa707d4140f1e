"""Runs the migrations on the connection that `shuzha.server.schema` hands over; there is no alembic.ini."""

from __future__ import annotations

from alembic import context

from shuzha.server.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
