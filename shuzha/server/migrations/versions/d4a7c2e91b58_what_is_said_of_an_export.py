"""what an author's session had declared, and what people remark on an export request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "d4a7c2e91b58"
down_revision = "9d14b7e0c6a3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the table forward: requests before this told nothing of their session, and nobody remarked on them."""
    with op.batch_alter_table("exports", schema=None) as batch_op:
        for name in ("session", "comments"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Take the table back."""
    with op.batch_alter_table("exports", schema=None) as batch_op:
        for name in ("session", "comments"):
            batch_op.drop_column(name)
