"""witnesses of the logs

Revision ID: 3f6b8d2a91c7
Revises: d2b7a4f09c31
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3f6b8d2a91c7"
down_revision = "d2b7a4f09c31"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: until the regulator registers a witness, nobody cosigns."""
    op.create_table(
        "witnesses",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "key", "organisation", "registered_by")),
        sa.Column("registered_at", sa.String(length=32), nullable=False),
        sa.Column("retired_at", sa.String(length=32), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_witnesses")),
    )
    with op.batch_alter_table("witnesses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_witnesses_organisation"), ["organisation"], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("witnesses")
