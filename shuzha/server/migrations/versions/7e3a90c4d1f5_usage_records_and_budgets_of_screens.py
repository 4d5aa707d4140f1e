"""usage records and budgets of screens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7e3a90c4d1f5"
down_revision = "5b0c41e9a7d2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_table(
        "screen_budgets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screen_budgets")),
    )
    with op.batch_alter_table("screen_budgets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_screen_budgets_workspace"), ["workspace"], unique=False)
    op.create_table(
        "screen_days",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("authorization", sa.Text(), nullable=False),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("shown", sa.BigInteger(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screen_days")),
        sa.UniqueConstraint("workspace", "day", name=op.f("uq_screen_days_workspace_day")),
    )
    with op.batch_alter_table("screen_days", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_screen_days_authorization"), ["authorization"], unique=False)
        batch_op.create_index(batch_op.f("ix_screen_days_day"), ["day"], unique=False)
        batch_op.create_index(batch_op.f("ix_screen_days_workspace"), ["workspace"], unique=False)


def downgrade() -> None:
    """Take it back; the events in the audit log stay."""
    op.drop_table("screen_days")
    op.drop_table("screen_budgets")
