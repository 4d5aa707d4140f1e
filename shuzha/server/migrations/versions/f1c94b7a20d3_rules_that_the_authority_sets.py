"""the parameters of the disclosure rules, as the authority sets them

Revision ID: f1c94b7a20d3
Revises: e8b3f6a1d027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f1c94b7a20d3"
down_revision = "e8b3f6a1d027"
branch_labels = None
depends_on = None

_TEXTS = ("id", "version", "values", "structural_zeros", "changed", "set_by")


def upgrade() -> None:
    """Bring the tables forward: until the authority sets others, the defaults are in force."""
    op.create_table(
        "rule_sets",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("set_at", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_sets")),
    )
    with op.batch_alter_table("rule_sets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_sets_version"), ["version"], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("rule_sets")
