"""A notebook's question is answered from the raw rows of its grant, with noise, and paid for first.

The order: may this person ask this of the grant, is the question sound, debit, compute, keep the answer, ask again
whether he may, answer. The same question on the same data is answered from what was kept and costs nothing: the same
noise says nothing new.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from desensitize import dp
from desensitize.errors import DesensitizeError
from policies import Context, Policies, Resource
from shuzha.authorization.model import Grant
from shuzha.authorization.store import GRANTS
from shuzha.budgets.model import RULE, Spend
from shuzha.budgets.questions import Question, conditions_of, read_question, to_query, to_where
from shuzha.budgets.service import BudgetService, no_budget
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import Entry, Role
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid
from shuzha.core.ids import new_id
from shuzha.core.work import Database
from shuzha.releases.filters import to_expression

_NAMING = frozenset({Role.DIRECT, Role.FREE_TEXT})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, from which workspace, under which grant."""

    actor: Actor
    workspace: str
    grant: str


class AnswerService:
    """Differentially private answers over the raw zone; a process of the platform runs it."""

    def __init__(self, database: Database, policies: Policies, budgets: BudgetService, zone: RawZone) -> None:
        self._database = database
        self._policies = policies
        self._budgets = budgets
        self._zone = zone

    def answer(self, asker: Asker, entry_name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return figures with their 95 % intervals, what they cost and what is left.

        Refuses an entry that the grant does not give, a column outside it, a column that names somebody, whatever the
        grant does not allow at this moment, an entry without a budget, and a cost above what is left of it.
        """
        question = read_question(asked)
        grant, entry = self._find(asker, entry_name)
        unit = _unit_of(entry)
        query, conditions = to_query(question, unit), conditions_of(question)
        columns = frozenset((*query.columns, *(one.column for one in conditions)))
        self._check(asker, grant, entry, columns)
        version = _version_of(entry)
        digest = _digest(question, grant, entry, version)
        known = self._budgets.find_answer(grant.authorization, digest)
        if known is not None:
            return self._say(known, known.answer, repeated=True)
        if not self._budgets.find_standing(entry.id, grant.authorization):
            raise no_budget(entry.code)
        spend = Spend(
            new_id("spd"), entry.id, grant.authorization, grant.id, asker.workspace, asker.actor.id, self._now(),
            type(query).__name__.lower(), tuple(sorted(columns)), *_costs(query.cost()), version, digest,
        )  # fmt: skip
        rows = self._rows(grant, entry, version, columns | {unit})
        found = self._compute(rows, query, to_where(conditions), _Debit(self._budgets, asker.actor, spend))
        spend = self._budgets.keep_answer(spend, _plain(found))
        # A suspension that came meanwhile holds the answer back; what was debited stays so.
        self._check(asker, grant, entry, columns)
        return self._say(spend, spend.answer, repeated=False)

    def budget(self, grant_id: str) -> dict[str, Any]:
        """Return what is left for a grant: of the entry's budget, and of its authorization's own where it has one."""
        with self._database.read() as work:
            grant = work.get(GRANTS, grant_id)
        return self._left(grant.entry, grant.authorization)

    def _left(self, entry: str, authorization: str) -> dict[str, Any]:
        found = self._budgets.find_standing(entry, authorization)
        said: dict[str, Any] = {"set": bool(found)}
        if found:
            said |= {"left_epsilon": min(one.left.epsilon for one in found), "entry": found[0].as_dict()}
        if len(found) > 1:
            said["authorization"] = found[1].as_dict()
        return said

    def _find(self, asker: Asker, name: str) -> tuple[Grant, Entry]:
        with self._database.read() as work:
            grant = work.get(GRANTS, asker.grant)
            entry = work.get(ENTRIES, grant.entry)
        if name not in (entry.name, entry.code, entry.id):
            raise Invalid("the grant gives no entry of this name", rule="dp.entry", accepted=entry.name)
        return grant, entry

    def _check(self, asker: Asker, grant: Grant, entry: Entry, columns: frozenset[str]) -> None:
        """Refuse whoever may not spend, what the grant does not hold, and columns that name somebody."""
        actor, at = asker.actor, self._now()
        resource = Resource("budget", entry.id, grant.operator, actor.id, grant.authorization, grant.id)
        self._policies.check(actor, "budget:spend", resource, Context(at=at))
        asked = Context(at=at, entry=entry.id, columns=columns, operation="aggregate", place="workspace")
        self._policies.check(actor, "data:view", resource, asked)
        naming = sorted(one.name for one in entry.elements if one.role in _NAMING and one.name in columns)
        if naming:
            raise Invalid(
                f"`{naming[0]}` names somebody or may hold anything", rule="dp.columns",
                accepted="questions about columns that say nobody's name",
            )  # fmt: skip

    def _rows(self, grant: Grant, entry: Entry, version: int, columns: frozenset[str]) -> pl.LazyFrame:
        raw = self._zone.scan(entry.id, version)
        schema = raw.collect_schema()
        condition = to_expression(grant.row_filter, dict(schema))
        rows = raw if condition is None else raw.filter(condition)
        return rows.select(name for name in schema.names() if name in columns)

    def _compute(self, rows: pl.LazyFrame, query: dp.Query, where: tuple[dp.Where, ...], debit: _Debit) -> dp.Answer:
        try:
            return dp.answer(rows, query, debit, where=where)
        except DesensitizeError as error:
            message, _, accepted = str(error).partition("; accepted: ")
            raise Invalid(message, rule="dp.question", accepted=accepted) from None
        except pl.exceptions.PolarsError as error:
            # The engine's message may quote a value.
            raise Invalid(f"cannot compute the answer: {type(error).__name__}", rule="dp.read") from None

    def _say(self, spend: Spend, answer: dict[str, Any], *, repeated: bool) -> dict[str, Any]:
        return {
            **answer, "spend": spend.id, "repeated": repeated, "raw_version": spend.raw_version,
            "left": self._left(spend.entry, spend.authorization),
        }  # fmt: skip

    def _now(self) -> dt.datetime:
        return self._database.clock.now()


class _Debit:
    """The records as the engine's budget: debited durably at the one moment at which the engine asks for it."""

    def __init__(self, budgets: BudgetService, actor: Actor, spend: Spend) -> None:
        self._budgets = budgets
        self._actor = actor
        self._spend = spend

    def debit(self, loss: dp.Loss) -> None:
        """Store the spend."""
        self._budgets.spend(self._actor, self._spend, loss)


def _unit_of(entry: Entry) -> str:
    if entry.entity_key is None:
        raise Invalid(
            f"entry {entry.code} names no entity key, so nobody's privacy could be kept", rule=RULE,
            accepted="an entry whose sheet says whose data a row is",
        )  # fmt: skip
    return entry.entity_key


def _version_of(entry: Entry) -> int:
    if entry.raw_version is None:
        raise Invalid(f"entry {entry.code} has no raw data yet", rule="dp.raw", accepted="a batch that was ingested")
    return entry.raw_version


def _digest(question: Question, grant: Grant, entry: Entry, version: int) -> str:
    asked = [msgspec.to_builtins(question), grant.scope.version, entry.id, entry.version, version]
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def _costs(loss: dp.Loss) -> tuple[str, str, str]:
    return repr(loss.epsilon), repr(loss.rho), repr(loss.delta)


def _plain(answer: dp.Answer) -> dict[str, Any]:
    """Return the answer as JSON: rows of labels, estimate, low and high, and what stands behind them."""
    loss = answer.loss
    rows = answer.frame.with_columns(pl.selectors.temporal().cast(pl.String)).to_dicts()
    return {
        "rows": rows, "columns": answer.frame.columns, "confidence": answer.confidence, "accuracy": answer.accuracy,
        "mechanism": answer.mechanism, "epsilon": None if loss.epsilon == float("inf") else loss.epsilon,
        "rho": loss.rho, "delta": loss.delta, "parameters": answer.parameters,
    }  # fmt: skip
