"""alerts, orders with their notices, and requirements on data

Revision ID: 5d1c7e9f4a28
Revises: 6d218c4d96bc
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d1c7e9f4a28"
down_revision = "6d218c4d96bc"
branch_labels = None
depends_on = None

_ALERT_STATES = "'open', 'looked_at', 'closed', 'acted'"
_REQUIREMENT_STATES = "'raised', 'accepted', 'ordered', 'fixed', 'declined', 'settled', 'withdrawn'"


def _text(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=40), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=32), nullable=nullable)


def _revision() -> sa.Column[int]:
    return sa.Column("revision", sa.BigInteger(), nullable=False)


def _index(table: str, *names: str) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        for name in names:
            batch_op.create_index(batch_op.f(f"ix_{table}_{name}"), [name], unique=False)


def upgrade() -> None:
    """Bring the tables forward: nothing was odd before, nothing ordered, nothing asked for."""
    op.create_table(
        "alerts",
        *_text("id"), _word("kind"), *_text("consumer", "product", "key", "window", "figures"), _moment("raised_at"),
        _word("state"), *_text("seen_by"), _moment("seen_at", nullable=True), *_text("reason", "order"), _revision(),
        sa.CheckConstraint(f"state IN ({_ALERT_STATES})", name=op.f("ck_alerts_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint(
            "kind", "consumer", "product", "key", "window", name=op.f("uq_alerts_kind_consumer_product_key_window")
        ),
    )  # fmt: skip
    _index("alerts", "state")
    op.create_table(
        "alert_rules", *_text("id", "values", "set_by"), _moment("set_at"), *_text("reason"), _revision(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rules")),
    )  # fmt: skip
    op.create_table(
        "orders",
        *_text("id"), _word("verb"), _word("kind"), *_text("subject", "reason", "decided_by", "organisation"),
        _moment("decided_at"), *_text("hits"), _moment("done_at", nullable=True), *_text("alert"), _revision(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )  # fmt: skip
    _index("orders", "subject")
    op.create_table(
        "notices",
        *_text("id", "order", "consumer", "products"), sa.Column("uses", sa.BigInteger(), nullable=False),
        *_text("reason"), _moment("sent_at"), *_text("received_by"), _moment("received_at", nullable=True), _revision(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("order", "consumer", name=op.f("uq_notices_order_consumer")),
    )  # fmt: skip
    _index("notices", "consumer")
    op.create_table(
        "requirements",
        *_text("id", "entry", "provider", "operator", "author", "grant", "workspace"), _word("lack"),
        *_text("columns", "text"), _moment("raised_at"), _word("state"), sa.Column("due", sa.Date(), nullable=True),
        sa.Column("due_provisional", sa.Boolean(), nullable=False), *_text("steps"), _revision(),
        sa.CheckConstraint(f"state IN ({_REQUIREMENT_STATES})", name=op.f("ck_requirements_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requirements")),
    )  # fmt: skip
    _index("requirements", "provider", "operator", "entry")


def downgrade() -> None:
    """Take the tables back."""
    for table in ("requirements", "notices", "orders", "alert_rules", "alerts"):
        op.drop_table(table)
