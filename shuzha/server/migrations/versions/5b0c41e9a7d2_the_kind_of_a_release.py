"""the kind of a release, and what a synthetic one was asked to be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5b0c41e9a7d2"
down_revision = "83411cd1eb0a"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: every release there is has the rows of its grant."""
    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=40), nullable=False, server_default="rows"))
        batch_op.add_column(sa.Column("synthetic", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it back; what a synthetic release was is then told by its certificate alone."""
    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.drop_column("synthetic")
        batch_op.drop_column("kind")
