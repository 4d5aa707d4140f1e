"""Which things await a person: asked of the services, so that nobody's list names what he may not see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState, Registration
from sandbox.airlock.model import ExportState
from sandbox.inbound.model import ImportState
from sandbox.workspaces.model import LIVING
from shuzha.authorization.assessment import AssessmentState, alias_of
from shuzha.authorization.model import IN_FORCE, AuthorizationState, DemandState
from shuzha.catalog.model import BatchState, EntryState, Title
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.clock import city_date
from shuzha.exits.model import ExitState
from shuzha.people.staff import Member, TrainingState
from shuzha.portal.awaiting_registry import RegistryTasks
from shuzha.portal.awaiting_supervision import SupervisionTasks
from shuzha.portal.services import Services
from shuzha.portal.task import Task
from shuzha.releases.model import STANDING

_A = AuthorizationState
AUTHORITY_TURN = {
    _A.APPLIED: "Check the application's facts",
    _A.QUALIFIED: "See to the experts' review",
    _A.REVIEWED: "Decide on approval",
    _A.APPROVED: "Make the approval public",
    _A.SIGNED: "Countersign the agreement",
}


class Awaiting:
    """Collects tasks from the rooms, for each role that the person holds."""

    def __init__(self, services: Services) -> None:
        self._services = services
        supervising = SupervisionTasks(services, self._task)
        register = RegistryTasks(services, self._task)
        self._roles: dict[str, tuple[Callable[[Actor], Iterator[Task]], ...]] = {
            "provider": (
                self._own_entries,
                self._demands_to_grant,
                register.duties,
                register.own_registrations,
                register.own_cases,
                supervising.to_mend,
            ),
            "authority": (
                self._entries_to_review,
                self._authorizations,
                self._exits_to_close,
                self._to_confirm,
                self._demands_to_check,
                self._late_providers,
                self._differing,
                self._imports_to_review,
                supervising.open_alerts,
                supervising.to_order,
            ),
            "regulator": (supervising.open_alerts,),
            "expert": (self._to_assess,),
            "operator": (
                self._to_sign,
                self._held,
                self._to_hand_over,
                self._to_train,
                self._to_renew,
                self._own_demands,
                self._own_products,
                register.own_registrations,
                register.own_cases,
                supervising.mended,
            ),
            "analyst": (
                self._own_person,
                self._to_open,
                self._returned_exports,
                self._asked_exports,
                self._own_imports,
            ),
            "checker": (self._exports_to_review, self._imports_to_review),
            "registry": (register.registrations, register.cases_to_decide),
            "consumer": (supervising.unread_recalls, self._held_keys, register.own_cases),
            "administrator": (self._to_identify,),
        }

    def list_tasks(self, actor: Actor) -> list[Task]:
        """Return what awaits the person, what is due first on top."""
        groups = (group for role, found in self._roles.items() if actor.has(role) for group in found)
        tasks = {task.href + task.what: task for group in groups for task in group(actor)}
        return sorted(tasks.values(), key=lambda task: (task.due is None, task.due or dt.date.max))

    def _task(
        self, what: str, title: str | tuple[str, str], href: str, state: object, due: dt.date | None = None, *,
        provisional: bool = False,
    ) -> Task:  # fmt: skip
        left = None
        if due is not None:
            left = self._services.law.remaining(Due(due, provisional), self._services.clock.now())
        titles = (title, "") if isinstance(title, str) else title
        return Task(what, titles, href, state, due, left)

    def _own_entries(self, actor: Actor) -> Iterator[Task]:
        turns = {EntryState.DRAFT: "Finish the entry and submit it", EntryState.RETURNED: "Change the entry as asked"}
        for entry in self._services.catalog.list_entries(actor, provider=actor.organisation):
            if entry.state in turns:
                yield self._task(turns[entry.state], _both(entry.title), f"/entries/{entry.id}", entry.state)
            newest = next(iter(self._services.catalog.aggregation.list_batches(actor, entry.id)), None)
            if newest is not None and newest.state is BatchState.REFUSED:
                yield self._task(
                    "Deliver the refused batch again", _both(entry.title), f"/entries/{entry.id}", newest.state
                )

    def _entries_to_review(self, actor: Actor) -> Iterator[Task]:
        for entry in self._services.catalog.list_entries(actor):
            if entry.state in (EntryState.SUBMITTED, EntryState.CHANGE_PENDING):
                yield self._task(
                    "Review the entry", _both(entry.title), f"/entries/{entry.id}", entry.state, entry.due,
                    provisional=entry.due_provisional,
                )  # fmt: skip

    def _authorizations(self, actor: Actor) -> Iterator[Task]:
        for found in self._services.authorization.list_authorizations(actor):
            if found.state in AUTHORITY_TURN:
                yield self._task(
                    AUTHORITY_TURN[found.state], found.title, f"/authorizations/{found.id}", found.state, found.due,
                    provisional=found.due_provisional,
                )  # fmt: skip

    def _to_sign(self, actor: Actor) -> Iterator[Task]:
        today = city_date(self._services.clock.now())
        for found in self._services.authorization.list_authorizations(actor):
            over = found.notice_until is None or today > found.notice_until
            if found.state is _A.PUBLICIZED and over:
                yield self._task("Sign the agreement", found.title, f"/authorizations/{found.id}", found.state)

    def _held(self, actor: Actor) -> Iterator[Task]:
        held = self._services.rights.list_held()
        for found in self._services.authorization.list_authorizations(actor):
            if found.operator == actor.organisation and found.state is _A.ACTIVE and found.id in held:
                yield self._task(
                    "Read why the authorization is held", found.title, f"/authorizations/{found.id}", "held"
                )

    def _to_hand_over(self, actor: Actor) -> Iterator[Task]:
        return self._exits(actor, ExitState.FROZEN, "State the hand-over of the exit")

    def _exits_to_close(self, actor: Actor) -> Iterator[Task]:
        return self._exits(actor, ExitState.SETTLED, "Sign the exit's certificate")

    def _exits(self, actor: Actor, state: ExitState, what: str) -> Iterator[Task]:
        for one in self._services.exits.list_exits(actor):
            mine = actor.organisation in (one.operator, one.authority or actor.organisation)
            if one.state is state and mine:
                title = self._services.authorization.get_authorization(actor, one.authorization).title
                yield self._task(what, title, f"/exits/{one.id}", one.state, one.due, provisional=one.due_provisional)

    def _own_person(self, actor: Actor) -> Iterator[Task]:
        if self._services.staff.find_hindrance(actor):
            yield self._task(
                "See what your first workspace still waits for", actor.name, f"/people/{actor.id}", "not yet"
            )

    def _to_train(self, actor: Actor) -> Iterator[Task]:
        now = self._services.clock.now()
        for one in self._services.staff.list_members(actor):
            waits = any(each.state is TrainingState.RECORDED for each in one.trainings or ())
            if (
                _works_with_data(one)
                and one.organisation == actor.organisation
                and not waits
                and not one.is_trained(now)
            ):
                yield self._task("Record a pre-job training", one.name, f"/people/{one.id}", "not yet")

    def _to_confirm(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.staff.list_members(actor):
            if any(each.state is TrainingState.RECORDED for each in one.trainings or ()):
                yield self._task("Confirm or refuse a training", one.name, f"/people/{one.id}", TrainingState.RECORDED)

    def _to_identify(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.staff.list_members(actor):
            if _works_with_data(one) and one.identity is None:
                yield self._task("Check an identity document", one.name, f"/people/{one.id}", "not yet")

    def _to_renew(self, actor: Actor) -> Iterator[Task]:
        found = self._services.authorization.list_authorizations(actor)
        renewed = {one.renews for one in found if one.state not in (_A.REJECTED, _A.WITHDRAWN)}
        for one in found:
            if one.reminded_on and one.state in IN_FORCE and one.id not in renewed:
                last = one.agreement.term.valid_until
                yield self._task("Apply again before the term ends", one.title, "/announcements", one.state, last)

    def _to_assess(self, actor: Actor) -> Iterator[Task]:
        turns = {
            AssessmentState.INVITED: "Say whether you have a conflict of interest",
            AssessmentState.DECLARED: "Assess the application",
        }
        for one in self._services.authorization.list_assessments(actor):
            if one.expert == actor.id and one.state in turns:
                yield self._task(
                    turns[one.state], alias_of(one.authorization), f"/assessments/{one.id}", one.state, one.due,
                    provisional=one.due_provisional,
                )  # fmt: skip

    def _demands_to_check(self, actor: Actor) -> Iterator[Task]:
        return self._demands(actor, DemandState.SUBMITTED, "Check the demand")

    def _late_providers(self, actor: Actor) -> Iterator[Task]:
        # No text says what a provider's silence means: it is never deemed consent, the authority sees to it.
        for demand in self._services.authorization.list_demands(actor):
            if demand.state is DemandState.CHECKED and demand.due is not None:
                task = self._task(
                    "The provider is late: see to an answer", demand.content.scenario, f"/demands/{demand.id}",
                    demand.state, demand.due, provisional=demand.due_provisional,
                )  # fmt: skip
                if task.left is not None and task.left < 0:
                    yield task

    def _demands_to_grant(self, actor: Actor) -> Iterator[Task]:
        return self._demands(actor, DemandState.CHECKED, "Grant or refuse the demand")

    def _demands(self, actor: Actor, state: DemandState, what: str) -> Iterator[Task]:
        for demand in self._services.authorization.list_demands(actor):
            if demand.state is state and (state is not DemandState.CHECKED or demand.provider == actor.organisation):
                yield self._task(
                    what, demand.content.scenario, f"/demands/{demand.id}", demand.state, demand.due,
                    provisional=demand.due_provisional,
                )  # fmt: skip

    def _own_demands(self, actor: Actor) -> Iterator[Task]:
        yield from self._demands(actor, DemandState.DRAFT, "Finish the demand and submit it")
        standing = {one.grant for one in self._services.releases.list_releases(actor) if one.state in STANDING}
        for demand in self._services.authorization.list_demands(actor):
            if demand.state is DemandState.GRANTED and demand.grant not in standing:
                yield self._task(
                    "Request the release of the granted data", demand.content.scenario, f"/demands/{demand.id}",
                    demand.state,
                )  # fmt: skip

    def _to_open(self, actor: Actor) -> Iterator[Task]:
        mine = {
            one.demand
            for one in self._services.workspaces.list_workspaces(actor)
            if one.author == actor.id and one.state in LIVING
        }
        ready = {one.demand for one in self._services.releases.list_releases(actor) if one.state.value == "ready"}
        for demand in self._services.authorization.list_demands(actor):
            if demand.state is DemandState.GRANTED and demand.id in ready - mine:
                yield self._task("Open a workspace", demand.content.scenario, "/workspaces", demand.state)

    def _returned_exports(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.airlock.list_exports(actor):
            if one.state is ExportState.RETURNED and one.author == actor.id:
                yield self._task("Change the notebook and submit it again", one.title, f"/exports/{one.id}", one.state)

    def _asked_exports(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.airlock.list_exports(actor):
            if one.asked and one.author == actor.id and one.state is not ExportState.RETURNED:
                yield self._task("Answer a comment on the export", one.title, f"/exports/{one.id}", one.state)

    def _exports_to_review(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.airlock.list_to_review(actor):
            yield self._task(
                "Review the export", one.title, f"/exports/{one.id}", one.state, one.due,
                provisional=one.due_provisional,
            )  # fmt: skip

    def _own_imports(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.inbound.list_imports(actor):
            if one.state is ImportState.DRAFT and one.author == actor.id:
                title = one.name or one.file_name
                yield self._task("Say what the own file is for", title, f"/imports/{one.id}", one.state)

    def _imports_to_review(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.inbound.list_to_review(actor):
            yield self._task(
                "Review the own file", one.name, f"/imports/{one.id}", one.state, one.due,
                provisional=one.due_provisional,
            )  # fmt: skip

    def _differing(self, actor: Actor) -> Iterator[Task]:
        for one in self._services.airlock.list_exports(actor):
            if one.state is ExportState.CONSOLIDATION:
                yield self._task(
                    "See to a third review: the two differ", one.title, f"/exports/{one.id}", one.state, one.due,
                    provisional=one.due_provisional,
                )  # fmt: skip

    def _own_products(self, actor: Actor) -> Iterator[Task]:
        for product in self._services.registry.list_products(actor, operator=actor.organisation):
            what, state = _operator_turn(product)
            if what:
                yield self._task(what, _titles(product), f"/products/{product.id}", state)

        for alarm in self._services.defence.list_alarms(actor, operator=actor.organisation, state="open"):
            yield self._task("Look into the alarm", alarm.id, f"/alarms/{alarm.id}", alarm.state)

    def _held_keys(self, actor: Actor) -> Iterator[Task]:
        for key in self._services.consumers.list_keys(actor):
            if key.organisation == actor.organisation and key.state.value == "suspended":
                yield self._task("Read why the key is suspended", key.name, f"/keys/{key.id}", key.state)


def _works_with_data(member: Member) -> bool:
    return member.active and "analyst" in member.roles


def _operator_turn(product: Product) -> tuple[str, object]:
    """Return what its operating unit is to do with a product, empty for nothing, and the state that says so."""
    if product.registration is not Registration.VALID:
        return "", product.registration
    if product.state is ProductState.DESIGNED:
        return "Put the product on the price list", product.state
    indexed = product.kind is not ProductKind.VERIFICATION or bool(product.index_version)
    if product.state is ProductState.LISTED and indexed:
        return "Start the service", product.state
    return "", product.state


def _both(title: Title) -> tuple[str, str]:
    return title.zh, title.en


def _titles(product: Product) -> tuple[str, str]:
    return product.sheet.title_zh, product.sheet.title_en
