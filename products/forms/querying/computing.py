"""One answer of a data service: computed over the raw rows of the grant, judged by the rules, compared with all others.

The rules and the differencing memory are the airlock's own, and the memory is one: an answer is compared with every
output that left, of whichever unit, and with every answer that was given, of whichever service and to whomever; what
leaves later is compared with it. Nobody can subtract two of them to find a few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import polars as pl

from policies import Context, Policies, ScopeSource
from products.forms.querying.answers import SERVICE_ANSWERS, ServiceAnswer, find_earlier
from products.registry.model import Product
from products.registry.service import product_resource
from products.serving.index import read_row_filter
from sandbox.airlock.findings import Verdict
from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.service import Leaving, Memory, Output
from sandbox.airlock.recompute import condition
from sandbox.airlock.repairs import compute_checked
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import ServiceSpecification, TableSpecification, encode
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import platform_actor
from shuzha.core.conditions import Scalar
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database

MOST_CELLS = 500
RULES, NEAR, TOO_LARGE = "rules", "differencing", "size"


class RawRows(Protocol):
    """Whatever holds the raw zone: `shuzha.catalog` in the platform."""

    def scan(self, entry_id: str, version: int | None = None) -> pl.LazyFrame:
        """Return the entry's rows of one version."""
        ...

    def version(self, entry_id: str) -> int:
        """Return the number of the newest version."""
        ...


class InForce(Protocol):
    """Whoever knows the disclosure rules in force."""

    def in_force(self) -> Rules:
        """Return them."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: of which product, the choice, its name, and who asks."""

    product: Product
    service: ServiceSpecification
    chosen: Mapping[str, Scalar]
    name: str
    consumer: str


class Computing:
    """Computes answers; one at a time, so that each is compared with the one before."""

    def __init__(
        self, database: Database, policies: Policies, scopes: ScopeSource, raw: RawRows, memory: Memory, rules: InForce
    ) -> None:
        self._database = database
        self._policies = policies
        self._scopes = scopes
        self._raw = raw
        self._memory = memory
        self._rules = rules

    def version(self, entry: str) -> int:
        """Return the newest version of an entry's raw rows."""
        return self._raw.version(entry)

    def compute(self, question: Question, version: int) -> ServiceAnswer:
        """Return the answer, kept: a table, or that it is withheld.

        Where newer data would differ from an earlier answer by too few, the earlier one is given again with the version
        that it is of. Refuses a grant that does not allow it any more.
        """
        source = self._source(question, version)
        table = question.service.table(source.release, question.chosen)
        rules = self._rules.in_force()
        checked = compute_checked(table, source.frame, entity=source.entity, rules=rules)
        if checked.report.verdict is not Verdict.PASS:
            return self._keep(question, version, withheld(version), RULES, None)
        if checked.frame.height > MOST_CELLS:
            return self._keep(question, version, withheld(version), TOO_LARGE, None)
        content = said(checked.frame, version)
        output = _output(question, table, source, checked.frame)
        answer = new_id("ans")
        with self._memory.leaving(
            [output], rules.min_difference, export=answer, organisation=question.product.operator
        ) as leaving:
            # What could not be worked out is a doubt, and nobody is there to judge it.
            if any(one.near or one.unlike for one in leaving.compared):
                return self._near(question, version)
            return self._keep(question, version, content, "", leaving, answer)

    def _near(self, question: Question, version: int) -> ServiceAnswer:
        with self._database.read() as work:
            earlier = find_earlier(work, question.name)
        content = withheld(version) if earlier is None else earlier.content
        return self._keep(question, version, content, NEAR, None)

    def _keep(
        self, question: Question, version: int, content: str, why: str, leaving: Leaving | None, answer: str = ""
    ) -> ServiceAnswer:
        actor, product = platform_actor("forms"), question.product
        with self._database.work(actor) as work:
            made = ServiceAnswer(
                answer or new_id("ans"), product.id, product.entry, question.name, version,
                content.startswith(WITHHELD), content, why, question.consumer, work.now(),
            )  # fmt: skip
            work.add(SERVICE_ANSWERS, made)
            if leaving is not None:
                leaving.add_to(work)
            work.emit(
                "product:answer", product.id, f"a question of {product.code} {_done(made)}",
                data={"product": product.id, "answer": made.id, "version": version, "withheld": made.withheld},
            )  # fmt: skip
        return made

    def _source(self, question: Question, version: int) -> Source:
        """Return the raw rows and columns that the grant allows."""
        product, service = question.product, question.service
        context = Context(
            at=self._database.clock.now(), entry=product.entry, columns=service.used_columns, operation="aggregate",
            output_kind="service", place="api",
        )  # fmt: skip
        self._policies.check(platform_actor("forms"), "data:index", product_resource(product), context)
        state = self._scopes.find_scope(product.grant)
        if state is None:
            raise NotFound(f"no grant with id {product.grant}")
        with self._database.read() as work:
            entry = work.get(ENTRIES, product.entry)
        rows = self._raw.scan(product.entry, version)
        schema = rows.collect_schema()
        rows = rows.filter(condition(read_row_filter(state.scope.row_filter), schema))
        columns = tuple(name for name in schema.names() if name in state.scope.columns)
        if entry.entity_key is None or entry.entity_key not in columns:
            raise Invalid(f"entry {entry.code} has no entity key in the grant", rule="product.service")
        return Source(
            release=f"raw {version}", name=entry.code, grant=product.grant, demand=product.demand,
            authorization=product.authorization, operator=product.operator, entry=entry.id, entry_code=entry.code,
            entry_name=entry.name, version=version, entity=entry.entity_key, entity_missing=False, columns=columns,
            frame=rows.select(columns),
        )  # fmt: skip


def _done(made: ServiceAnswer) -> str:
    return "withheld" if made.withheld else "answered"


WITHHELD = '{"withheld":true'


def withheld(version: int) -> str:
    """Return the answer that says nothing: the same for too few, too near and too much."""
    return f'{WITHHELD},"data_version":{version},"columns":[],"cells":[]}}'


def said(frame: pl.DataFrame, version: int) -> str:
    """Return a table as an answer says it; a cell of null is held back."""
    cells = [[_plain(value) for value in row] for row in frame.iter_rows()]
    told = {"withheld": False, "data_version": version, "columns": frame.columns, "cells": cells}
    return msgspec.json.encode(told).decode()


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _output(question: Question, table: TableSpecification, source: Source, frame: pl.DataFrame) -> Output:
    # The version is no part of it: the same figures about the same people tell nothing new.
    digest = hashlib.sha256(encode(table) + frame.write_csv().encode()).hexdigest()
    return Output(f"answer to {question.product.code}", table, source, frame, digest)
