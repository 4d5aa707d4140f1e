"""limits of products against enumeration, and alarms

Revision ID: a4d07e5b93c1
Revises: e41c7d92b0a6
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a4d07e5b93c1"
down_revision = "e41c7d92b0a6"
branch_labels = None
depends_on = None

_TEXTS = (
    "product", "key", "consumer", "operator", "provider", "entry", "authorization", "resolved_by", "reason",
)  # fmt: skip


def upgrade() -> None:
    """Bring the tables forward: a product without limits of its own has the defaults."""
    op.create_table(
        "product_limits",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "set_by", "reason")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("distinct_subjects", "subject_asks")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("negatives", "revision")),
        sa.Column("set_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_limits")),
    )
    op.create_table(
        "alarms",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", *_TEXTS)),
        *(sa.Column(name, sa.String(length=40), nullable=False) for name in ("kind", "state")),
        sa.Column("day", sa.Date(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("round", "limit", "revision")),
        sa.Column("stops", sa.Boolean(), nullable=False),
        sa.Column("raised_at", sa.String(length=32), nullable=False),
        sa.Column("resolved_at", sa.String(length=32), nullable=True),
        sa.CheckConstraint("state IN ('open', 'resolved')", name=op.f("ck_alarms_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
        sa.UniqueConstraint(
            "key", "product", "kind", "day", "round", name=op.f("uq_alarms_key_product_kind_day_round")
        ),
    )
    with op.batch_alter_table("alarms", schema=None) as batch_op:
        for name in ("product", "operator", "provider", "consumer"):
            batch_op.create_index(batch_op.f(f"ix_alarms_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("alarms")
    op.drop_table("product_limits")
