"""webhooks of apps, and what is on its way to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e41c7d92b0a6"
down_revision = "5d1c7e9f4a28"
branch_labels = None
depends_on = None


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=32), nullable=nullable)


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_table(
        "webhooks",
        *_text("id", "organisation", "author", "app", "url", "types"),
        _moment("created_at"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _moment("overlap_until", nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        *_text("reason"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'disabled', 'removed')", name=op.f("ck_webhooks_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "deliveries",
        *_text("id", "webhook", "organisation"),
        sa.Column("type", sa.String(length=40), nullable=False),
        *_text("about", "body"),
        _moment("made_at"),
        _moment("next_at"),
        *_text("attempts"),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("webhook", "about", name=op.f("uq_deliveries_webhook_about")),
    )
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        for name in ("organisation", "app"):
            batch_op.create_index(batch_op.f(f"ix_webhooks_{name}"), [name], unique=False)
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        for name in ("webhook", "state"):
            batch_op.create_index(batch_op.f(f"ix_deliveries_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("deliveries")
    op.drop_table("webhooks")
