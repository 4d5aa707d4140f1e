"""What awaits a person in the register: registrations, cases, renewals, and data that has to be registered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from products.registry.case_model import OPEN, CaseKind, CaseState
from products.registry.registration import Outcome, Registration, check_notice_over
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid
from shuzha.portal.registering_words import OPERATOR_TURN, REGISTRY_TURN
from shuzha.portal.services import Services

_R = Registration


class RegistryTasks:
    """Collects the tasks of the register; `task` makes one, with the working days that are left."""

    def __init__(self, services: Services, task: Callable[..., Any]) -> None:
        self._services = services
        self._task = task

    def registrations(self, actor: Actor) -> Iterator[Any]:
        """Yield what the registry is to do next with each registration."""
        for found in self._all(actor):
            if found.registration not in REGISTRY_TURN:
                continue
            on_notice = found.registration is _R.PUBLIC_NOTICE
            if on_notice and not self._is_notice_over(found):
                continue
            what = REGISTRY_TURN[found.registration]
            if found.registration is _R.HELD and not self._is_asked(actor, found):
                what = "Let the notice run on, or refuse"
            yield self._one(what, found, None if on_notice else found.due)

    def cases_to_decide(self, actor: Actor) -> Iterator[Any]:
        """Yield the cases that wait for the registry."""
        turns = {CaseState.FILED: "Accept the case", CaseState.ACCEPTED: "Decide the case"}
        for case in self._services.cases.list(actor):
            if case.state in turns:
                yield self._task(
                    turns[case.state], self._titles(actor, case.subject), f"/cases/{case.id}", case.state, case.due,
                    provisional=case.provisional_due,
                )  # fmt: skip

    def own_registrations(self, actor: Actor) -> Iterator[Any]:
        """Yield what the holder is to do next: apply, complete, renew."""
        renewing = {
            case.subject for case in self._services.cases.list(actor)
            if case.kind is CaseKind.RENEWAL and case.state in OPEN
        }  # fmt: skip
        for found in self._all(actor):
            if found.holder != actor.organisation:
                continue
            if found.registration in OPERATOR_TURN:
                due = found.due if found.registration is _R.SUPPLEMENT else None
                yield self._one(OPERATOR_TURN[found.registration], found, due)
            elif found.registration is _R.VALID and found.reminded_on and found.id not in renewing:
                yield self._one("Ask for the renewal of the registration", found, found.valid_until)

    def own_cases(self, actor: Actor) -> Iterator[Any]:
        """Yield the cases that wait for whoever asked, or for the holder to be heard."""
        for case in self._services.cases.list(actor):
            titles, href = self._titles(actor, case.subject), f"/cases/{case.id}"
            if case.state is CaseState.SUPPLEMENT and case.organisation == actor.organisation:
                yield self._task(
                    "Complete the case", titles, href, case.state, case.due, provisional=case.provisional_due
                )
            heard = case.responded_at is not None or not case.is_foreign
            if case.state in OPEN and case.holder == actor.organisation and not heard:
                yield self._task("Say what you think of another's request", titles, href, case.state, case.response_due)

    def duties(self, actor: Actor) -> Iterator[Any]:
        """Yield the data in the scope of an authorization that is not registered yet (W25 art. 23)."""
        for one in self._services.resources.list_duties(actor):
            if one.provider == actor.organisation:
                yield self._task(
                    "Register the data resource", (one.title_zh, one.title_en), f"/registrations/new?entry={one.entry}",
                    "not yet", one.due, provisional=one.provisional,
                )  # fmt: skip

    def _all(self, actor: Actor) -> list[Any]:
        return self._services.registers.list_all(actor)

    def _one(self, what: str, found: Any, due: dt.date | None) -> Any:
        return self._task(
            what, _titles(found), f"/registrations/{found.id}", found.registration, due,
            provisional=found.provisional_due,
        )  # fmt: skip

    def _titles(self, actor: Actor, subject: str) -> tuple[str, str]:
        return _titles(self._services.registers.find(subject))

    def _is_asked(self, actor: Actor, found: Any) -> bool:
        raised = self._services.registers.list_objections(actor, found.id)
        return any(one.outcome is Outcome.OPEN for one in raised)

    def _is_notice_over(self, found: Any) -> bool:
        try:
            check_notice_over(found, city_date(self._services.clock.now()))
        except Invalid:
            return False
        return True


def _titles(found: Any) -> tuple[str, str]:
    return found.title("zh"), found.title("en")
