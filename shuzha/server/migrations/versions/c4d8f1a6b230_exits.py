"""how authorizations are left, and what holds them meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c4d8f1a6b230"
down_revision = "b7c3e5d90a14"
branch_labels = None
depends_on = None

_STATES = "'opened', 'frozen', 'handed_over', 'destroyed', 'settled', 'closed'"


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=32), nullable=nullable)


def upgrade() -> None:
    """Bring the tables forward: what ended before this has no exit, and keeps the records of its destruction."""
    op.create_table(
        "exits",
        *_text("id", "authorization", "operator", "authority"),
        sa.Column("cause", sa.String(length=40), nullable=False),
        *_text("reason"),
        sa.Column("state", sa.String(length=40), nullable=False),
        _moment("opened_at", nullable=False),
        sa.Column("frozen", sa.Text(), nullable=True),
        sa.Column("hand_over", sa.Text(), nullable=True),
        *_text("destroyed"),
        _moment("destroyed_at"),
        *_text("settled"),
        _moment("settled_at"),
        *_text("certificate", "signatures"),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("due_provisional", sa.Boolean(), nullable=False),
        *_text("waiting"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"state IN ({_STATES})", name=op.f("ck_exits_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exits")),
        sa.UniqueConstraint("authorization", name=op.f("uq_exits_authorization")),
    )
    with op.batch_alter_table("exits", schema=None) as batch_op:
        for name in ("operator", "state"):
            batch_op.create_index(batch_op.f(f"ix_exits_{name}"), [name], unique=False)

    op.create_table(
        "holds",
        *_text("id", "subject", "source", "cause", "reason"),
        _moment("placed_at", nullable=False),
        _moment("lifted_at"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        for name in ("source", "subject"):
            batch_op.create_index(batch_op.f(f"ix_holds_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("holds")
    op.drop_table("exits")
