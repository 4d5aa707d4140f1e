"""Governance requirements (J23 art. 11): an operating unit says what is wrong with data, and its provider mends it.

Raised from a notebook or by the API, about an entry that the unit has a grant on. The provider accepts or declines by a
clock; the authority may order what was declined or is late; the unit that raised it says whether it is mended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from policies import Context, Policies, Resource
from shuzha.authorization.model import GrantState
from shuzha.authorization.store import GRANTS
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work, no_record
from shuzha.oversight.model import ANSWER_RULE, REQUIREMENT, Lack, Requirement, RequirementState, Step, check_words
from shuzha.oversight.store import REQUIREMENTS

MAX_COLUMNS = 50
_PROVIDERS = frozenset({"accept", "decline", "fix"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: about which entry and columns, what is wrong, in words; `workspace` where it was seen."""

    entry: str
    lack: Lack
    text: str
    columns: tuple[str, ...] = ()
    workspace: str = ""


class Requirements:
    """The verbs of requirements."""

    def __init__(self, database: Database, policies: Policies, law: LawBook) -> None:
        self._database = database
        self._policies = policies
        self._law = law
        self.clock = database.clock

    def raise_requirement(self, actor: Actor, asked: Asked) -> Requirement:
        """Return a new requirement, on its provider's desk; the clock of the answer starts.

        Refuses an entry that the actor's unit has no grant on, columns that the grant does not hold, and empty words.
        """
        text = check_words(asked.text)
        with self._database.work(actor) as work:
            own = Resource("requirement", "", actor.organisation, actor.id)
            self._policies.check(actor, "requirement:raise", own, Context(at=work.now()))
            living = (GrantState.ACTIVE, GrantState.SUSPENDED)
            grants = [one for one in work.list(GRANTS, entry=asked.entry) if one.operator == actor.organisation]
            grant = next((one for one in grants if one.state in living), None)
            if grant is None:
                raise NotFound(
                    "your unit has no grant on this entry", accepted="an entry of one of the unit's granted demands"
                )
            _check_columns(asked.columns, frozenset(grant.scope.columns))
            made = Requirement(
                new_id("req"), asked.entry, grant.provider, actor.organisation, actor.id, grant.id, asked.workspace,
                asked.lack, tuple(dict.fromkeys(asked.columns)), text, work.now(),
            )  # fmt: skip
            made = self._clocked(made, ANSWER_RULE, work.now())
            made = replace(made, steps=(Step("raise", actor.id, actor.organisation, work.now(), text),))
            work.add(REQUIREMENTS, made)
            work.emit(
                "requirement:raise", made.id, f"requirement on {work.get(ENTRIES, made.entry).code} raised",
                data={"entry": made.entry, "provider": made.provider, "lack": made.lack.value},
            )  # fmt: skip
        return made

    def move(self, actor: Actor, requirement_id: str, verb: str, said: str) -> Requirement:
        """Return the requirement moved by a verb of its lifecycle, with what was said.

        The provider accepts, declines and fixes; the unit settles, reopens and withdraws; the authority orders and
        settles. Refuses a verb that the state does not allow, empty words, and an order before the provider is late or
        has declined.
        """
        words = check_words(said)
        with self._database.work(actor) as work:
            found = self._get(work, actor, requirement_id)
            side = found.provider if verb in _PROVIDERS else found.operator
            resource = Resource("requirement", found.id, side, found.author if side == found.operator else "")
            self._policies.check(actor, f"requirement:{verb}", resource, Context(at=work.now()))
            move = REQUIREMENT.next(found.state, verb, found.id)
            if verb == "order":
                _check_late(found, city_date(work.now()))
            changed = replace(
                found, state=move.target, due=None, due_provisional=False,
                steps=(*found.steps, Step(verb, actor.id, actor.organisation, work.now(), words)),
            )  # fmt: skip
            if move.clock:
                changed = self._clocked(changed, move.clock, work.now())
            saved = work.save(REQUIREMENTS, changed)
            work.emit(
                f"requirement:{verb}", saved.id, f"requirement {saved.id} {move.target.value}",
                data={"entry": saved.entry, "provider": saved.provider, "operator": saved.operator, "reason": words},
            )  # fmt: skip
        return saved

    def get_requirement(self, actor: Actor, requirement_id: str) -> Requirement:
        """Return one requirement; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._get(work, actor, requirement_id)

    def list_requirements(self, actor: Actor, *, entry: str | None = None) -> tuple[Requirement, ...]:
        """Return the requirements that the actor may see, newest first: raised, received, or all for the authority."""
        with self._database.read() as work:
            equal = {} if entry is None else {"entry": entry}
            found = work.list(REQUIREMENTS, newest_first=True, **equal)
            return tuple(one for one in found if self._may_see(work, actor, one))

    def is_late(self, found: Requirement) -> bool:
        """Return whether the provider's clock has run out."""
        return found.due is not None and city_date(self._database.clock.now()) > found.due

    def _get(self, work: Work, actor: Actor, requirement_id: str) -> Requirement:
        found = work.get(REQUIREMENTS, requirement_id)
        if not self._may_see(work, actor, found):
            raise NotFound(no_record(REQUIREMENTS, requirement_id))
        return found

    def _may_see(self, work: Work, actor: Actor, found: Requirement) -> bool:
        views = (Resource("requirement", found.id, side, found.author) for side in (found.operator, found.provider))
        return any(self._policies.can(actor, "requirement:view", each, Context(at=work.now())) for each in views)

    def _clocked(self, found: Requirement, rule: str, at: dt.datetime) -> Requirement:
        due = self._law.due(rule, at)
        return found if due is None else replace(found, due=due.date, due_provisional=due.provisional)


def _check_columns(columns: Sequence[str], granted: frozenset[str]) -> None:
    unknown = sorted(set(columns) - granted)
    if unknown or len(columns) > MAX_COLUMNS:
        raise Invalid(
            "the requirement names a column that the grant does not hold", rule="grant.columns",
            accepted=", ".join(sorted(granted)),
        )  # fmt: skip


def _check_late(found: Requirement, today: dt.date) -> None:
    waiting = found.state in (RequirementState.RAISED, RequirementState.ACCEPTED)
    if waiting and (found.due is None or today <= found.due):
        raise Invalid(
            f"requirement {found.id} is not late: its provider has until {found.due}", rule=ANSWER_RULE,
            accepted="an order once it was declined or its day is over",
        )  # fmt: skip
