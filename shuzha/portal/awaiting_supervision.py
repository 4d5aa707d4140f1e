"""What awaits people of supervision: alerts, recalls, and requirements on data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from shuzha.core.actor import Actor
from shuzha.oversight.model import Requirement, RequirementState
from shuzha.portal.services import Services
from shuzha.portal.task import Task


class SupervisionTasks:
    """Finds the tasks of supervision; `task` makes one."""

    def __init__(self, services: Services, task: Callable[..., Task]) -> None:
        self._services = services
        self._task = task

    def open_alerts(self, actor: Actor) -> Iterator[Task]:
        """Give the alerts that wait for somebody."""
        for one in self._services.alerts.list_alerts(actor, waiting=True):
            name = self._services.people.get_organisation(one.consumer)
            yield self._task(
                "See what looks odd in use", (name.title("zh_Hans"), name.title("en")), f"/alerts/{one.id}", one.state
            )

    def unread_recalls(self, actor: Actor) -> Iterator[Task]:
        """Give the recalls of which a buyer has given no receipt."""
        for one in self._services.orders.list_notices(actor):
            if one.received_at is None:
                yield self._task("Read that a product was recalled", one.reason, "/notices", "recalled")

    def to_mend(self, actor: Actor) -> Iterator[Task]:
        """Give what a provider is to answer or to mend."""
        turns = {
            RequirementState.RAISED: "Answer what is asked of your data",
            RequirementState.ACCEPTED: "Mend the data as agreed",
            RequirementState.ORDERED: "Mend the data as ordered",
        }
        return self._requirements(actor, turns, lambda one: one.provider == actor.organisation)

    def mended(self, actor: Actor) -> Iterator[Task]:
        """Give what a unit is to judge: mended, or declined."""
        turns = {
            RequirementState.FIXED: "Say whether the data is mended",
            RequirementState.DECLINED: "Read why the data is not mended",
        }
        return self._requirements(actor, turns, lambda one: one.operator == actor.organisation)

    def to_order(self, actor: Actor) -> Iterator[Task]:
        """Give what the authority may order: declined, or late."""
        turns = {
            RequirementState.RAISED: "Order data to be mended",
            RequirementState.ACCEPTED: "Order data to be mended",
            RequirementState.DECLINED: "Order data to be mended",
        }
        late = self._services.requirements.is_late
        return self._requirements(actor, turns, lambda one: one.state is RequirementState.DECLINED or late(one))

    def _requirements(
        self, actor: Actor, turns: Mapping[RequirementState, str], concerns: Callable[[Requirement], bool]
    ) -> Iterator[Task]:
        for one in self._services.requirements.list_requirements(actor):
            if one.state in turns and concerns(one):
                yield self._task(
                    turns[one.state], one.text, f"/requirements/{one.id}", one.state, one.due,
                    provisional=one.due_provisional,
                )  # fmt: skip
