"""the person behind an account, and the training before the job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "b7c3e5d90a14"
down_revision = "a91f4d7c3e02"
branch_labels = None
depends_on = None


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def upgrade() -> None:
    """Bring the tables forward: nobody is checked or trained yet, so everybody is asked before his next workspace."""
    op.create_table(
        "identities",
        *_text("id", "account", "organisation", "person", "filed_by"),
        sa.Column("filed_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("account", name=op.f("uq_identities_account")),
    )
    op.create_table(
        "trainings",
        *_text("id", "account", "organisation", "course", "proof_sha256"),
        sa.Column("completed_on", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.String(length=32), nullable=False),
        *_text("recorded_by"),
        sa.Column("recorded_at", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        *_text("decided_by", "reason"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('recorded', 'confirmed', 'refused', 'revoked')", name=op.f("ck_trainings_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trainings")),
    )
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identities_person"), ["person"], unique=False)
    with op.batch_alter_table("trainings", schema=None) as batch_op:
        for name in ("account", "organisation"):
            batch_op.create_index(batch_op.f(f"ix_trainings_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("trainings")
    op.drop_table("identities")
