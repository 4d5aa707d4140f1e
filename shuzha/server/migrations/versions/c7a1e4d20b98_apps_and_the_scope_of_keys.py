"""apps of consumers, and what a key is limited to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c7a1e4d20b98"
down_revision = "c4d8f1a6b230"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: each organisation's keys become those of one app of its own."""
    op.create_table(
        "apps",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "organisation", "author", "name", "about")),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended', 'closed')", name=op.f("ck_apps_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
    )
    with op.batch_alter_table("apps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_apps_organisation"), ["organisation"], unique=False)
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("app", sa.Text(), nullable=False, server_default=""))
        for name in ("products", "uses", "networks"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("expires_at", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("replaces", sa.Text(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_api_keys_app"), ["app"], unique=False)
    # The oldest key of an organisation names its app, so that the same records become the same app everywhere.
    op.execute(
        "INSERT INTO apps (id, organisation, author, name, about, contact, created_at, state, reason, revision) "
        "SELECT 'app_' || substr(min(id), 5), organisation, min(author), "
        "'default app', '', '', min(created_at), 'active', '', 0 FROM api_keys GROUP BY organisation"
    )
    op.execute("UPDATE api_keys SET app = (SELECT a.id FROM apps a WHERE a.organisation = api_keys.organisation)")


def downgrade() -> None:
    """Take the tables back."""
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_keys_app"))
        for name in ("replaces", "expires_at", "networks", "uses", "products", "app"):
            batch_op.drop_column(name)
    op.drop_table("apps")
