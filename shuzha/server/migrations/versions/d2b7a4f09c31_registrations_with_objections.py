"""registrations with applications, supplements, objections and ends of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d2b7a4f09c31"
down_revision = "c7a1e4d20b98"
branch_labels = None
depends_on = None

_BEFORE = (
    "evidence", "applied", "supplement", "accepted", "formal_review", "public_notice", "held", "coded", "valid",
    "expired", "cancelled",
)  # fmt: skip
_AFTER = (*_BEFORE, "refused", "withdrawn")


def _hold(states: tuple[str, ...]) -> None:
    """Let the database know these states."""
    name = op.f("ck_products_registration")
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_constraint(name, type_="check")
        batch_op.create_check_constraint(name, "registration IN ({})".format(", ".join(f"'{one}'" for one in states)))


def upgrade() -> None:
    """Bring the tables forward: registrations before this have no application and no signed commitment."""
    with op.batch_alter_table("products", schema=None) as batch_op:
        for name in ("application", "commitment"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("applied_at", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("due", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("notice_left", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("reminded_on", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("superseded", sa.Text(), nullable=False, server_default="[]"))
    _hold(_AFTER)
    op.create_table(
        "registration_objections",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "subject", "objector", "text")),
        sa.Column("filed_at", sa.String(length=32), nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("due_provisional", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=40), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("answer", "answered_by")),
        sa.Column("answered_at", sa.String(length=32), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registration_objections")),
    )
    with op.batch_alter_table("registration_objections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_registration_objections_subject"), ["subject"], unique=False)


def downgrade() -> None:
    """Take the tables back; what was refused or withdrawn counts as cancelled."""
    op.execute("UPDATE products SET registration = 'cancelled' WHERE registration IN ('refused', 'withdrawn')")
    op.drop_table("registration_objections")
    _hold(_BEFORE)
    with op.batch_alter_table("products", schema=None) as batch_op:
        for name in ("superseded", "reminded_on", "notice_left", "due", "applied_at", "commitment", "application"):
            batch_op.drop_column(name)
