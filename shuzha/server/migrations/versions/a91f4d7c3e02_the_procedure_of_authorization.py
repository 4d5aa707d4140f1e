"""announcements, evidence, experts' assessments and filed agreements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "a91f4d7c3e02"
down_revision = "a6e20c5b9f17"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables forward: what was applied for before rests on no announcement."""
    _create_announcements()
    _create_assessments()
    op.create_table(
        "evidence_files",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("authorization", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence_files")),
    )
    op.create_index(op.f("ix_evidence_files_authorization"), "evidence_files", ["authorization"], unique=False)
    op.create_table(
        "filings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("signatures", sa.Text(), nullable=False),
        sa.Column("filed_by", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filings")),
        sa.UniqueConstraint("number", name=op.f("uq_filings_number")),
    )
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        for column in _added():
            batch_op.add_column(column)


def _added() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("announcement", sa.Text(), nullable=False, server_default=""),
        sa.Column("legal_representative", sa.Text(), nullable=False, server_default=""),
        sa.Column("renews", sa.Text(), nullable=False, server_default=""),
        sa.Column("evidence", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("approved_on", sa.Date(), nullable=True),
        sa.Column("notice_until", sa.Date(), nullable=True),
        sa.Column("notice_provisional", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("filing", sa.Text(), nullable=False, server_default=""),
        sa.Column("reminded_on", sa.Date(), nullable=True),
    )


def _create_announcements() -> None:
    states = ", ".join(f"'{state}'" for state in ("draft", "agreed", "published", "closed", "cancelled"))
    op.create_table(
        "announcements",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("opens_at", sa.String(length=32), nullable=False),
        sa.Column("closes_at", sa.String(length=32), nullable=False),
        sa.Column("published_at", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"state IN ({states})", name=op.f("ck_announcements_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
    )
    op.create_index(op.f("ix_announcements_state"), "announcements", ["state"], unique=False)


def _create_assessments() -> None:
    states = ", ".join(f"'{state}'" for state in ("invited", "declared", "scored", "recused", "dismissed"))
    op.create_table(
        "assessments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("authorization", sa.Text(), nullable=False),
        sa.Column("expert", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("lead", sa.Text(), nullable=False),
        sa.Column("appointed_by", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("invited_at", sa.String(length=32), nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("due_provisional", sa.Boolean(), nullable=False),
        sa.Column("declaration", sa.Text(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"state IN ({states})", name=op.f("ck_assessments_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
        sa.UniqueConstraint("authorization", "expert", name=op.f("uq_assessments_authorization_expert")),
    )
    op.create_index(op.f("ix_assessments_expert"), "assessments", ["expert"], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        for column in reversed(_added()):
            batch_op.drop_column(column.name)
    for table in ("filings", "evidence_files", "assessments", "announcements"):
        op.drop_table(table)
