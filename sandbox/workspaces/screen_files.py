"""What the gate counts and obeys about screens, as the platform reads and writes it: the gate's two files."""

from __future__ import annotations

from sandbox.workspaces.gate.meter import Count, read_usage, today
from sandbox.workspaces.gate.screen import Standing
from sandbox.workspaces.records.controls import ControlsUnreadable, ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings


class ScreenFiles:
    """The counts and budgets of one installation's workspaces, by their short names."""

    def __init__(self, settings: HubSettings) -> None:
        self._usage = settings.usage
        self._default = settings.screen_budget
        self._orders = FileControls(settings.controls)
        self._pen = ControlsWriter(settings.controls)

    def today(self) -> str:
        """Return the day that the gate counts now."""
        return today()

    def days(self, name: str | None = None, *, since: str = "") -> dict[tuple[str, str], dict[str, Count]]:
        """Return the counts by class of each (workspace, day) from `since` on, as the gate last wrote them."""
        found: dict[tuple[str, str], dict[str, Count]] = {}
        for workspace, day, traffic, count in read_usage(self._usage, name, since=since):
            found.setdefault((workspace, day), {})[traffic] = count
        return found

    def budget(self, name: str, day: str) -> int:
        """Return the bytes that a workspace may show on `day`; the default while there are no orders to be read."""
        try:
            ordered = self._orders.read().budget_of(name, day)
        except ControlsUnreadable:
            ordered = None
        return self._default if ordered is None else ordered

    def standing(self, name: str) -> Standing:
        """Return how a workspace stands today, some fractions of a second behind the gate."""
        day = self.today()
        return Standing(name, day, self.budget(name, day), self.days(name, since=day).get((name, day), {}))

    def set_budget(self, name: str, budget: int, day: str) -> None:
        """Have the gate apply `budget` within a second: on `day` only, or lastingly where `day` is empty."""
        self._pen.set_budget(name, budget, day=day)

    def forget(self, name: str) -> None:
        """Take the orders about a workspace that exists no more out of the gate's file."""
        self._pen.forget(name)
