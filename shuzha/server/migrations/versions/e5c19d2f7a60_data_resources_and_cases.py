"""registered data resources, and cases on registrations."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op

revision = "e5c19d2f7a60"
down_revision = "3f6b8d2a91c7"
branch_labels = None
depends_on = None

_REGISTRATION = (
    "evidence", "applied", "supplement", "accepted", "formal_review", "public_notice", "held", "coded", "valid",
    "expired", "cancelled", "refused", "withdrawn",
)  # fmt: skip
_CASE = ("filed", "supplement", "accepted", "granted", "refused", "withdrawn")


def _text(*names: str, nullable: bool = False) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=nullable) for name in names)


def _moments(*names: str, nullable: bool = True) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.String(length=32), nullable=nullable) for name in names)


def _days(*names: str) -> tuple[sa.Column[dt.date], ...]:
    return tuple(sa.Column(name, sa.Date(), nullable=True) for name in names)


def _words(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.String(length=40), nullable=False) for name in names)


def _numbers(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger(), nullable=False) for name in names)


def _one_of(column: str, words: tuple[str, ...], name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint("{} IN ({})".format(column, ", ".join(f"'{one}'" for one in words)), name=op.f(name))


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_table(
        "data_resources",
        *_text("id", "entry"), *_numbers("entry_version"), *_text("provider", "author"), *_words("access"),
        *_text("sheet", "evidence"), *_moments("created_at", nullable=False), *_words("registration"),
        *_text("code", nullable=True), *_text("state_reason"), *_text("application", "commitment", nullable=True),
        *_moments("applied_at", "accepted_at"), *_days("review_due"), *_moments("noticed_at"), *_days("notice_due"),
        *_numbers("notice_left"), *_text("notice_text"), *_days("due"),
        sa.Column("provisional_due", sa.Boolean(), nullable=False),
        *_moments("coded_at"), *_days("valid_until", "reminded_on"), *_text("superseded"), *_numbers("revision"),
        _one_of("registration", _REGISTRATION, "ck_data_resources_registration"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_resources")),
        sa.UniqueConstraint("code", name=op.f("uq_data_resources_code")),
    )  # fmt: skip
    op.create_table(
        "registration_cases",
        *_text("id", "noun", "subject"), *_words("kind"),
        *_text("holder", "organisation", "author", "reason", "changes", "before"),
        *_moments("filed_at", nullable=False), *_words("state"), *_text("export", "file"),
        *_text("evidence", nullable=True), *_days("due"), sa.Column("provisional_due", sa.Boolean(), nullable=False),
        *_text("response"), *_moments("responded_at"), *_days("response_due"), *_text("decision", "decided_by"),
        *_moments("decided_at"), *_numbers("revision"),
        _one_of("state", _CASE, "ck_registration_cases_state"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registration_cases")),
    )  # fmt: skip
    for table, columns in (("data_resources", ("entry", "provider")), ("registration_cases", ("subject",))):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name in columns:
                batch_op.create_index(batch_op.f(f"ix_{table}_{name}"), [name], unique=False)


def downgrade() -> None:
    """Take the tables back."""
    op.drop_table("registration_cases")
    op.drop_table("data_resources")
