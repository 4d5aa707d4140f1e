"""Measured contribution: which raw entry a product owes how much, computed once a version inside the raw zone.

A verification needs no measuring: the columns of the claims that were asked say whose fields answered (`terms`). A
product made of several entries is measured by their Shapley values for the metric that it declares; the values, every
coalition's worth, the raw versions and scopes are kept as evidence, hashed, and the hash stands in each settlement's
inputs. It is measured before its first use is settled, or with equal weights until then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from policies import Context, Policies
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.registry.service import product_resource
from products.registry.store import PRODUCTS
from shuzha.authorization.model import Grant
from shuzha.authorization.store import GRANTS
from shuzha.catalog.model import Entry, Role
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work
from shuzha.releases.filters import to_expression
from shuzha.releases.store import RELEASES
from shuzha.settlement.gathering import version_of
from shuzha.settlement.inputs import canonical
from shuzha.settlement.shapley import Shapley, measure
from shuzha.settlement.store import CONTRIBUTIONS, Contribution

FORM = "shuzha/contribution/1"
SEED = 7
DIGITS = 9


class RawRows(Protocol):
    """Whatever holds the raw zone: `shuzha.catalog` in the platform."""

    def scan(self, entry_id: str, version: int | None = None) -> pl.LazyFrame:
        """Return the rows of an entry at a version."""
        ...

    def version(self, entry_id: str) -> int:
        """Return the newest version of an entry's rows."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """What a product declares to be good at: a column of an entry that it tells, and by which metric."""

    entry: str
    column: str
    metric: str = "auc"


@dataclass(frozen=True, slots=True)
class _Part:
    """One entry behind a product, with the grant that it was used under and the raw version that is measured."""

    entry: Entry
    grant: Grant
    raw_version: int


class ContributionService:
    """Measures and keeps contributions."""

    def __init__(self, database: Database, policies: Policies, raw: RawRows) -> None:
        self._database = database
        self._policies = policies
        self._raw = raw

    def measure(self, actor: Actor, product_id: str, measure_by: Measure) -> Contribution:
        """Return what each entry contributes to the product's version, measured now; a version is measured once.

        Refuses a verification (its claims tell), a product of one entry (it has all), entries without a common subject,
        and a target column that no grant of the product holds.
        """
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            resource = product_resource(product)
            self._policies.check(actor, "contribution:measure", resource, Context(at=work.now()))
            if work.list(CONTRIBUTIONS, product=product.id, version=version_of(product)):
                raise Conflict(
                    f"the contribution of {product.id} is measured", rule="contribution.once",
                    accepted="a new version of the product",
                )  # fmt: skip
            parts = self._parts(work, product)
        _check(product, parts, measure_by)
        found, subjects = self._value(parts, measure_by)
        evidence = canonical(_evidence(product, parts, measure_by, found, subjects))
        with self._database.work(actor) as work:
            made = Contribution(
                new_id("con"), product.id, version_of(product), "shapley" if found.exact else "shapley (sampled)",
                found.weights, evidence.decode(), _sha256(evidence), work.now(),
            )  # fmt: skip
            work.add(CONTRIBUTIONS, made)
            work.emit(
                "contribution:measure", product.id,
                f"product {product.code or product.id}: contribution of {len(parts)} entries measured",
                data={"product": product.id, "sha256": made.sha256, "weights": made.weights},
            )  # fmt: skip
        return made

    def list_contributions(self, actor: Actor, product_id: str) -> tuple[Contribution, ...]:
        """Return what was measured of a product, the newest version first."""
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            if not self._policies.can(actor, "product:view", product_resource(product), Context(at=work.now())):
                raise NotFound(f"no products with id {product_id}")
            return work.list(CONTRIBUTIONS, newest_first=True, product=product_id)

    def _parts(self, work: Work, product: Product) -> dict[str, _Part]:
        grants = {product.entry: work.get(GRANTS, product.grant)}
        for identifier in product.evidence.lineage.releases:
            release = work.find(RELEASES, identifier)
            if release is not None:
                grants.setdefault(release.entry, work.get(GRANTS, release.grant))
        return {name: _Part(work.get(ENTRIES, name), grant, self._raw.version(name)) for name, grant in grants.items()}

    def _value(self, parts: Mapping[str, _Part], by: Measure) -> tuple[Shapley, int]:
        # The learner's library takes a second to import, and nothing else of settlement needs it.
        from shuzha.settlement.valuing import ColumnValue, Metric, Table

        tables = {}
        for name, part in parts.items():
            rows = self._raw.scan(name, part.raw_version)
            condition = to_expression(part.grant.row_filter, dict(rows.collect_schema()))
            allowed = rows if condition is None else rows.filter(condition)
            subject = part.entry.entity_key or ""
            tables[name] = Table(allowed, subject, _columns(part))
        try:
            metric = Metric(by.metric)
        except ValueError:
            raise Invalid("no such metric", rule="contribution.metric", accepted=", ".join(Metric)) from None
        value = ColumnValue(tables, (by.entry, by.column), metric, SEED)
        return measure(sorted(parts), value, seed=SEED), value.subjects


def _columns(part: _Part) -> tuple[str, ...]:
    """Return the columns that may count: those of the grant, direct identifiers and free text apart."""
    apart = {one.name for one in part.entry.elements if one.role in (Role.DIRECT, Role.FREE_TEXT)}
    return tuple(sorted(set(part.grant.scope.columns) - apart))


def _check(product: Product, parts: Mapping[str, _Part], by: Measure) -> None:
    if product.kind is ProductKind.VERIFICATION:
        raise Invalid(
            f"product {product.id} is a verification", rule="contribution.kind",
            accepted="none: the columns of its claims tell who contributed",
        )  # fmt: skip
    if len(parts) < 2:
        raise Invalid(
            f"product {product.id} rests on one entry", rule="contribution.entries", accepted="two entries or more"
        )
    nobody = sorted(name for name, part in parts.items() if not part.entry.entity_key)
    if nobody:
        raise Invalid(
            f"entry {nobody[0]} does not say whose its rows are", rule="contribution.subject",
            accepted="entries with an entity key",
        )  # fmt: skip
    if by.entry not in parts or by.column not in parts[by.entry].grant.scope.columns:
        raise Invalid(
            "the target is no column of the product's grants", rule="contribution.target",
            accepted="a column that one of its grants holds", field="column",
        )  # fmt: skip


def _evidence(
    product: Product, parts: Mapping[str, _Part], by: Measure, found: Shapley, subjects: int
) -> dict[str, object]:
    from shuzha.settlement.valuing import HELD_OUT, LEARNER

    worth = {"+".join(sorted(some)): round(value, DIGITS) for some, value in found.evaluations.items()}
    return {
        "type": FORM, "product": product.id, "version": version_of(product), "target": f"{by.entry}.{by.column}",
        "metric": by.metric, "learner": LEARNER, "held_out": HELD_OUT, "seed": SEED, "subjects": subjects,
        "exact": found.exact, "worth": worth, "weights": found.weights,
        "entries": {
            name: {
                "raw_version": part.raw_version, "grant": part.grant.id, "scope": part.grant.scope.version,
                "columns": _columns(part), "shapley": round(found.values[name], DIGITS),
                "standard_error": round(found.errors[name], DIGITS),
            }
            for name, part in parts.items()
        },
    }  # fmt: skip


def read_evidence(contribution: Contribution) -> dict[str, object]:
    """Return the evidence of a contribution as JSON values."""
    found: dict[str, object] = json.loads(contribution.evidence)
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
