"""The tables of products, of data resources, and of objections to notices and cases on registrations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from products.registry.case_model import CASE, Case
from products.registry.model import PRODUCT, Product
from products.registry.registration import Objection, Registration
from products.registry.resource_model import DataResource
from shuzha.core.records import Noun
from shuzha.core.work import Work

PRODUCTS = Noun(
    "products", Product, lifecycle=PRODUCT, unique=[("code",)], index=["operator", "authorization", "grant"]
)
RESOURCES = Noun("data_resources", DataResource, unique=[("code",)], index=["provider", "entry"])
OBJECTIONS = Noun("registration_objections", Objection, index=["subject"])
CASES = Noun("registration_cases", Case, lifecycle=CASE, index=["subject"])


def hold_registration(noun: Noun[Any]) -> None:
    """Let the database refuse a state that the table of registrations does not have."""
    allowed = ", ".join(f"'{state.value}'" for state in Registration)
    noun.table.append_constraint(sa.CheckConstraint(f"registration IN ({allowed})", name="registration"))


hold_registration(PRODUCTS)
hold_registration(RESOURCES)


def next_sequence(work: Work, noun: Noun[Any] = PRODUCTS) -> int:
    """Return the sequence number of the next code: one more than the codes given; writers come one at a time."""
    table = noun.table
    given = sa.select(sa.func.count()).select_from(table).where(table.c.code.is_not(None))
    return int(work.connection.execute(given).scalar() or 0) + 1
