"""the digest of the bytes of each remembered output

Revision ID: a6e20c5b9f17
Revises: f1c94b7a20d3
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a6e20c5b9f17"
down_revision = "f1c94b7a20d3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: what left before is never taken for the same again."""
    with op.batch_alter_table("kept_outputs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("content", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("kept_outputs", schema=None) as batch_op:
        batch_op.alter_column("content", server_default=None)


def downgrade() -> None:
    """Take the column back."""
    with op.batch_alter_table("kept_outputs", schema=None) as batch_op:
        batch_op.drop_column("content")
