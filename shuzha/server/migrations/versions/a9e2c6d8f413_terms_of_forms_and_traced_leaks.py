"""the terms of products by their form, and the traces of leaked copies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a9e2c6d8f413"
down_revision = "e5c19d2f7a60"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: no product has terms yet."""
    op.create_table(
        "product_terms",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "text", "set_by")),
        sa.Column("set_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_terms")),
    )
    op.create_table(
        "leak_traces",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("id", "product", "authorization", "organisation", "traced_by")
        ),
        sa.Column("traced_at", sa.String(length=32), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("reason", "copy_sha256")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("copy_size", "rows", "matched", "cells")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("columns", "suspects")),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leak_traces")),
    )
    with op.batch_alter_table("leak_traces", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_leak_traces_product"), ["product"], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("leak_traces")
    op.drop_table("product_terms")
