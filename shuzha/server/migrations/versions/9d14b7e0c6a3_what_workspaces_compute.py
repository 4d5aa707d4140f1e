"""what workspaces compute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9d14b7e0c6a3"
down_revision = "c2f86d0b93ae"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_table(
        "compute_days",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("authorization", sa.Text(), nullable=False),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("cpu_milliseconds", sa.BigInteger(), nullable=False),
        sa.Column("memory_byte_seconds", sa.BigInteger(), nullable=False),
        sa.Column("storage_byte_seconds", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.String(length=32), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_days")),
        sa.UniqueConstraint("workspace", "day", name=op.f("uq_compute_days_workspace_day")),
    )
    with op.batch_alter_table("compute_days", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_compute_days_authorization"), ["authorization"], unique=False)
        batch_op.create_index(batch_op.f("ix_compute_days_day"), ["day"], unique=False)
        batch_op.create_index(batch_op.f("ix_compute_days_workspace"), ["workspace"], unique=False)
    op.create_table(
        "compute_marks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("cpu_nanoseconds", sa.BigInteger(), nullable=False),
        sa.Column("memory_byte_seconds", sa.BigInteger(), nullable=False),
        sa.Column("storage_byte_seconds", sa.BigInteger(), nullable=False),
        sa.Column("storage_bytes", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.Text(), nullable=False),
        sa.Column("read_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_marks")),
        sa.UniqueConstraint("workspace", name=op.f("uq_compute_marks_workspace")),
    )


def downgrade() -> None:
    """Take it back; the events in the audit log stay."""
    op.drop_table("compute_marks")
    op.drop_table("compute_days")
