"""price plans and their caps, closings, and statements that are approved."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "6d218c4d96bc"
down_revision = "a9e2c6d8f413"
branch_labels = None
depends_on = None

_STATES = "'draft', 'held', 'issued', 'paid', 'settled'"
_TEXTS = ("reason", "settled_by", "approved_by", "payment", "inputs")
_ADDED = ("tax_fen", "adjustments", "cap", "log_size", "state", *_TEXTS, "approved_at", "paid_at")


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def _whole(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger(), nullable=False) for name in names)


def _moment(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=32), nullable=False)


def _day(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Date(), nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _table(name: str, *columns: sa.Column[Any], unique: tuple[tuple[str, ...], ...]) -> None:
    op.create_table(
        name,
        *_text("id"),
        *columns,
        *_whole("revision"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        *(sa.UniqueConstraint(*names, name=op.f(f"uq_{name}_{'_'.join(names)}")) for names in unique),
    )


def upgrade() -> None:
    """Bring the tables forward: what was settled before this counts as issued."""
    _table(
        "closings", *_text("period"), *_whole("sequence", "log_from", "log_size"), *_text("inputs", "inputs_sha256"),
        _moment("closed_at"), _flag("complete"), unique=(("period",), ("sequence",)),
    )  # fmt: skip
    _table(
        "contributions", *_text("product", "version", "method", "weights", "evidence", "sha256"),
        _moment("measured_at"), unique=(("product", "version"),),
    )  # fmt: skip
    _table(
        "price_ceilings", *_text("product"), _day("valid_from"), *_whole("price_hao"), *_text("source", "set_by"),
        _moment("set_at"), unique=(("product", "valid_from"),),
    )  # fmt: skip
    _table(
        "price_versions", *_text("product", "consumer", "operator"), _day("valid_from"), *_text("plan"),
        _flag("waived"), *_text("waived_purposes", "sha256", "published_by"), _moment("published_at"),
        unique=(("product", "consumer", "valid_from"),),
    )  # fmt: skip
    _table(
        "revenue_caps", *_text("authorization", "first_period", "last_period"),
        *_whole("cost_fen", "subsidy_fen", "profit_fen", "tax_fen"), *_text("source", "set_by"), _moment("set_at"),
        unique=(("authorization", "first_period"),),
    )  # fmt: skip
    with op.batch_alter_table("statements", schema=None) as batch_op:
        for name in ("tax_fen", "log_size"):
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("adjustments", sa.Text(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("cap", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("state", sa.String(length=40), nullable=False, server_default="issued"))
        for name in _TEXTS:
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default=""))
        for name in ("approved_at", "paid_at"):
            batch_op.add_column(sa.Column(name, sa.String(length=32), nullable=True))
        batch_op.create_check_constraint(op.f("ck_statements_state"), f"state IN ({_STATES})")


def downgrade() -> None:
    """Take the tables back."""
    with op.batch_alter_table("statements", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_statements_state"), type_="check")
        for name in _ADDED:
            batch_op.drop_column(name)
    for name in ("revenue_caps", "price_versions", "price_ceilings", "contributions", "closings"):
        op.drop_table(name)
