"""The table of products."""

from __future__ import annotations

import sqlalchemy as sa

from products.registry.model import PRODUCT, Product, Registration
from shuzha.core.records import Noun
from shuzha.core.work import Work

PRODUCTS = Noun(
    "products", Product, lifecycle=PRODUCT, unique=[("code",)], index=["operator", "authorization", "grant"]
)
PRODUCTS.table.append_constraint(
    sa.CheckConstraint(
        "registration IN ({})".format(", ".join(f"'{state.value}'" for state in Registration)), name="registration"
    )
)


def next_sequence(work: Work) -> int:
    """Return the sequence number of the next code: one more than the codes given; writers come one at a time."""
    table = PRODUCTS.table
    given = sa.select(sa.func.count()).select_from(table).where(table.c.code.is_not(None))
    return int(work.connection.execute(given).scalar() or 0) + 1
