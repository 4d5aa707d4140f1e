"""the answers that data services gave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7d3a1e5c942"
down_revision = "a4d07e5b93c1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: nothing was asked yet."""
    op.create_table(
        "service_answers",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "product", "entry", "question")),
        sa.Column("raw_version", sa.BigInteger(), nullable=False),
        sa.Column("withheld", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("content", "why", "asked_by")),
        sa.Column("answered_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_answers")),
        sa.UniqueConstraint("question", "raw_version", name=op.f("uq_service_answers_question_raw_version")),
    )
    with op.batch_alter_table("service_answers", schema=None) as batch_op:
        for name in ("product", "question"):
            batch_op.create_index(batch_op.f(f"ix_service_answers_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("service_answers")
