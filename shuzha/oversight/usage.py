"""Usage as each organisation may see it: its own calls, its own products', its own entries', or all for a supervisor.

Facts are brought up to the newest event before they are read; they know ids only, so owners are looked up here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from policies import Context, Policies, Resource
from products.registry.store import PRODUCTS
from shuzha.authorization.store import GRANTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.work import Database, Work
from shuzha.metering.facts import Fact, FactsStore
from shuzha.metering.reports import UsageQuery, month

HAO_PER_FEN = 100


@dataclass(frozen=True, slots=True)
class OwnedFact:
    """A fact with the organisations that have a part in it."""

    fact: Fact
    code: str
    title_zh: str
    title_en: str
    operator: str
    provider: str

    def title(self, language: str) -> str:
        """Return the product's title in a language."""
        return self.title_zh if language.startswith("zh") else self.title_en


@dataclass(frozen=True, slots=True)
class Sum:
    """Uses that share a key, in 毫: charged, and waived at full price."""

    key: str
    uses: int
    charged: int
    waived: int

    @property
    def fen(self) -> int:
        """What was charged so far, in fen; a statement rounds once per line and may differ by a fen a line."""
        return (self.charged + HAO_PER_FEN // 2) // HAO_PER_FEN


LONGEST = dt.timedelta(days=3 * 366)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which usage is meant: the days [first, end), and whose; an empty field means all."""

    first: dt.date
    end: dt.date
    product: str = ""
    consumer: str = ""
    operator: str = ""
    provider: str = ""
    purpose: str = ""

    def fits(self, one: OwnedFact) -> bool:
        """Return whether a fact is meant."""
        return all(
            not asked or asked == found
            for asked, found in (
                (self.product, one.fact.product), (self.consumer, one.fact.consumer), (self.operator, one.operator),
                (self.provider, one.provider), (self.purpose, one.fact.purpose),
            )
        )  # fmt: skip


class UsageViews:
    """Reads the meter's facts for people."""

    def __init__(self, database: Database, policies: Policies, folder: Path) -> None:
        self._database = database
        self._policies = policies
        self._folder = folder

    def list_facts(self, actor: Actor, period: str) -> tuple[OwnedFact, ...]:
        """Return the facts of a month that the actor may see, oldest day first; none where nothing was ever metered."""
        first, end = month(period)
        facts = self._facts(first, end)
        with self._database.read() as work:
            owned = _Owners(work)
            found = tuple(owned.of(fact) for fact in facts)
            now = work.now()
        return tuple(one for one in found if self._may_see(actor, one, now))

    def list_range(self, actor: Actor, wanted: Wanted) -> tuple[OwnedFact, ...]:
        """Return the facts of a span of days that the actor may see and that fit, oldest day first.

        Refuses a span that ends before it begins, and one of more than three years.
        """
        if not dt.timedelta() < wanted.end - wanted.first <= LONGEST:
            raise Invalid("this span of days is refused", rule="usage.span", accepted=f"1 to {LONGEST.days} days")
        facts = self._facts(wanted.first, wanted.end)
        with self._database.read() as work:
            owned = _Owners(work)
            found = tuple(one for one in map(owned.of, facts) if wanted.fits(one))
            now = work.now()
        return tuple(one for one in found if self._may_see(actor, one, now))

    def _facts(self, first: dt.date, end: dt.date) -> tuple[Fact, ...]:
        try:
            store = FactsStore(self._folder)
        except NotFound:
            return ()
        try:
            store.refresh()
            return store.list_facts(UsageQuery(first=first, end=end))
        finally:
            store.close()

    def _may_see(self, actor: Actor, one: OwnedFact, at: dt.datetime) -> bool:
        owners = {"consumer": one.fact.consumer, "operator": one.operator, "provider": one.provider}
        own = {owner for role, owner in owners.items() if actor.has(role)}
        resources = [Resource("usage", organisation=owner) for owner in own or {"org_other"}]
        return any(self._policies.can(actor, "usage:view", each, Context(at=at)) for each in resources)


def sum_by(facts: Iterable[OwnedFact], key: Callable[[OwnedFact], str]) -> tuple[Sum, ...]:
    """Return the sums of facts by a key, the most used first."""
    found: dict[str, list[Fact]] = {}
    for one in facts:
        found.setdefault(key(one), []).append(one.fact)
    sums = (
        Sum(
            name, sum(fact.uses for fact in group), sum(fact.charged for fact in group),
            sum(fact.price * fact.quantity for fact in group if fact.waived),
        )
        for name, group in found.items()
    )  # fmt: skip
    return tuple(sorted(sums, key=lambda one: (-one.uses, one.key)))


class _Owners:
    """Looks up whose a product is, each once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._known: dict[str, tuple[str, str, str, str, str]] = {}

    def of(self, fact: Fact) -> OwnedFact:
        """Return a fact with its owners; a product that is not in the records keeps its id as its name."""
        if fact.product not in self._known:
            product = self._work.find(PRODUCTS, fact.product)
            grant = None if product is None else self._work.find(GRANTS, product.grant)
            self._known[fact.product] = (
                ("", fact.product, fact.product, "", "")
                if product is None
                else (
                    product.code or "", product.sheet.title_zh, product.sheet.title_en, product.operator,
                    grant.provider if grant else "",
                )
            )  # fmt: skip
        return OwnedFact(fact, *self._known[fact.product])
