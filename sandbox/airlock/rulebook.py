"""The parameters in force: the authority sets them, each set is kept, and a request is judged by one set to its end."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from policies import Context, Policies, Resource
from sandbox.airlock.model import check_reason
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.rules import Label, Rules
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.records import Noun
from shuzha.core.work import Database, Work

RULE: Final = "airlock.rules"
RULES: Final = Resource("rules", "airlock")
MODELS: Final = "models."
_LISTS: Final = frozenset({"structural_zeros", "models"})

Number = int | float


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One set of parameters that the authority put in force, for good: a later set does not change it.

    `values` are all numbers by their dotted names; `changed` are those that differ from the set before.
    """

    id: str
    version: str
    values: dict[str, Number]
    structural_zeros: tuple[tuple[Label, ...], ...]
    changed: tuple[str, ...]
    set_by: str
    set_at: dt.datetime
    reason: str
    revision: int = 0

    def rules(self) -> Rules:
        """Return the rules that these values are."""
        return make_rules(self.values, self.structural_zeros)


RULE_SETS: Noun[RuleSet] = Noun("rule_sets", RuleSet, index=["version"])


def flatten(rules: Rules) -> dict[str, Number]:
    """Return every number of the rules by its dotted name, in the order of the rules."""
    own = {one.name: getattr(rules, one.name) for one in dataclasses.fields(rules) if one.name not in _LISTS}
    models = {f"{MODELS}{one.name}": getattr(rules.models, one.name) for one in dataclasses.fields(rules.models)}
    return own | models


def make_rules(values: Mapping[str, Number], structural_zeros: tuple[tuple[Label, ...], ...] = ()) -> Rules:
    """Return the rules of these numbers; refuses unknown names, and values that the rules refuse."""
    check_numbers(values)
    # A share given as 1 is the share 1.0: equal rules have one version.
    kinds = {name: type(value) for name, value in flatten(Rules()).items()}
    values = {name: kinds[name](value) for name, value in values.items()}
    own = {name: value for name, value in values.items() if not name.startswith(MODELS)}
    models = {name.removeprefix(MODELS): value for name, value in values.items() if name.startswith(MODELS)}
    return Rules(**own, structural_zeros=structural_zeros, models=ModelRules(**models))  # type: ignore[arg-type]


def check_numbers(values: Mapping[str, object]) -> None:
    """Refuse what is no number of the rules: an unknown name, a fraction where a count is asked, what is not finite."""
    known = flatten(Rules())
    for name, value in values.items():
        if name not in known:
            raise Invalid(f"the rules have no parameter `{name}`", rule=RULE, accepted=", ".join(known))
        whole = isinstance(known[name], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise Invalid(
                f"parameter `{name}` is not a number of its kind", rule=RULE,
                accepted="a whole number" if whole else "a number",
            )  # fmt: skip
        if not 0 <= value < float("inf"):
            raise Invalid(f"parameter `{name}` is out of range", rule=RULE, accepted="a finite number, 0 or more")


class RuleBook:
    """The sets of parameters of one installation; `base` is in force until the authority sets another."""

    def __init__(self, database: Database, policies: Policies, base: Rules | None = None) -> None:
        self._database = database
        self._policies = policies
        self._base = base or Rules()

    def in_force(self) -> Rules:
        """Return the rules by which a request is screened now."""
        with self._database.read() as work:
            return self._now(work)

    def of_version(self, version: str) -> Rules:
        """Return the rules of one version, by which a request was screened; refuses a version that never was."""
        with self._database.read() as work:
            found = next(iter(work.list(RULE_SETS, version=version)), None)
        if found is not None:
            return found.rules()
        if version == self._base.version:
            return self._base
        raise NotFound(f"no rules of version {version}")

    def describe(self, actor: Actor) -> tuple[Rules, tuple[RuleSet, ...]]:
        """Return the rules in force and every set that the authority made, newest first.

        They are no secret to whoever works by them; refuses others.
        """
        with self._database.read() as work:
            self._policies.check(actor, "rules:view", RULES, Context(at=work.now()))
            return self._now(work), tuple(work.list(RULE_SETS, newest_first=True))

    def can_set(self, actor: Actor) -> bool:
        """Return whether this person may change the rules now."""
        return self._policies.can(actor, "rules:set", RULES, Context(at=self._database.clock.now()))

    def set_rules(self, actor: Actor, changes: Mapping[str, Number], reason: str) -> RuleSet:
        """Return the set that is in force from now on: the one before with these numbers changed.

        Requests that were screened before keep the rules by which they were judged. Refuses unknown names, values that
        the rules refuse, changes that change nothing, and whoever is not the authority.
        """
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            now = work.now()
            self._policies.check(actor, "rules:set", RULES, Context(at=now))
            before = self._now(work)
            old = flatten(before)
            check_numbers(changes)
            changed = tuple(name for name in old if name in changes and changes[name] != old[name])
            if not changed:
                raise Invalid("these rules are in force already", rule=RULE, accepted="a parameter that differs")
            rules = make_rules(old | dict(changes), before.structural_zeros)
            made = RuleSet(
                new_id("rul"), rules.version, flatten(rules), rules.structural_zeros, changed, actor.id, now, reason
            )
            found = work.add(RULE_SETS, made)
            data = {
                "version": rules.version, "before": before.version, "reason": reason,
                "changed": {name: {"from": old[name], "to": made.values[name]} for name in changed},
            }  # fmt: skip
            work.emit("rules:set", found.id, "disclosure rules changed", data=data, approver=actor.id)
        return found

    def _now(self, work: Work) -> Rules:
        newest = next(iter(work.list(RULE_SETS, newest_first=True)), None)
        return self._base if newest is None else newest.rules()
