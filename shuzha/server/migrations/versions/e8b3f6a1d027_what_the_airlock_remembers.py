"""the differencing memory: what was released, and which file says about whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e8b3f6a1d027"
down_revision = "d4a7c2e91b58"
branch_labels = None
depends_on = None

_TEXTS = ("id", "entry", "organisation", "export", "file", "form", "release")
_LATER = ("fingerprint", "sha256")


def upgrade() -> None:
    """Bring the tables forward: nothing that left before this is remembered."""
    op.create_table(
        "kept_outputs",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.Column("raw_version", sa.BigInteger(), nullable=False),
        sa.Column("specification", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("cells", sa.BigInteger(), nullable=False),
        sa.Column("entities", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _LATER),
        sa.Column("kept_at", sa.String(length=32), nullable=False),
        sa.Column("rows_are_entities", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_outputs")),
        sa.UniqueConstraint("export", "file", name=op.f("uq_kept_outputs_export_file")),
    )
    with op.batch_alter_table("kept_outputs", schema=None) as batch_op:
        for name in ("entry", "export", "organisation"):
            batch_op.create_index(batch_op.f(f"ix_kept_outputs_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("kept_outputs")
