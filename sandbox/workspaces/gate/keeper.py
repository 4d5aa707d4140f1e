"""Who may pass now: the orders in force, the counts, and the exchanges that are under way.

A workspace's exchanges (requests being answered, open websockets) are known by workspace, so that a suspension can cut
them at once, and no byte passes after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.workspaces.gate import pages
from sandbox.workspaces.gate.meter import CannotCount, Meter, next_day
from sandbox.workspaces.gate.screen import WARN_AT, Standing
from sandbox.workspaces.records.controls import Controls, ControlsUnreadable, Orders
from shuzha.core.clock import SystemClock

log = logging.getLogger(__name__)


class Held(Exception):
    """An exchange must end now: its workspace is suspended, or has shown what it may."""

    def __init__(self, refusal: pages.Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(slots=True, eq=False)
class Exchange:
    """One request in progress for a workspace, and how to cut it."""

    workspace: str
    cut: Callable[[], None]


@dataclass(slots=True)
class Gatekeeper:
    """The orders in force, the counts, and who is inside right now."""

    controls: Controls
    meter: Meter
    orders: Orders | None = None
    exchanges: set[Exchange] = field(default_factory=set)
    _warned: dict[str, str] = field(default_factory=dict)

    def refresh(self) -> None:
        """Read the orders again and cut every exchange that they no longer allow."""
        try:
            self.orders = self.controls.read()
        except ControlsUnreadable as error:
            if self.orders is not None:
                log.error("holding every workspace back: %s", error)
            self.orders = None
        for exchange in list(self.exchanges):
            if self.find_hold(exchange.workspace) is not None:
                exchange.cut()

    def find_hold(self, workspace: str) -> pages.Refusal | None:
        """Return why nothing may pass for `workspace` now, None when it may."""
        if self.orders is None:
            return pages.orders_unknown()
        if workspace in self.orders.suspended:
            return pages.suspended(self.orders.suspended[workspace])
        return None

    def budget_left(self, workspace: str) -> int:
        """Return the bytes that `workspace` may still show today."""
        return self.meter.left_today(workspace, self._ordered(workspace))

    def standing(self, workspace: str) -> Standing:
        """Return how `workspace` stands with today's screen budget."""
        budget = self.meter.budget(self._ordered(workspace))
        return Standing(workspace, self.meter.day(), budget, self.meter.counts_today(workspace))

    def check(self, workspace: str, size: int = 0) -> None:
        """Raise `Held` unless `size` more bytes may be shown by `workspace` now."""
        hold = self.find_hold(workspace)
        if hold is None:
            try:
                left = self.budget_left(workspace)
            except CannotCount as error:
                log.error("holding %s back: %s", workspace, error)
                raise Held(pages.cannot_count()) from error
            if left >= max(size, 1):
                return
            seconds = (next_day() - SystemClock().now()).total_seconds()
            hold = pages.budget_used(left, int(seconds) + 1)
        raise Held(hold)

    def show(self, workspace: str, traffic: str, size: int, messages: int = 1) -> None:
        """Count `size` bytes that are about to be shown; raise `Held`, and count nothing, where they may not be."""
        self.check(workspace, size)
        self._count(workspace, traffic, shown=size, messages=messages)
        if self._warned.get(workspace) != self.meter.day():
            self._warn(workspace)

    def receive(self, workspace: str, traffic: str, size: int) -> None:
        """Count `size` bytes that came from a browser; raise `Held` where that cannot be counted."""
        self._count(workspace, traffic, received=size)

    def _count(self, workspace: str, traffic: str, *, shown: int = 0, received: int = 0, messages: int = 0) -> None:
        try:
            self.meter.add(workspace, traffic, shown=shown, received=received, messages=messages)
        except CannotCount as error:
            log.error("holding %s back: %s", workspace, error)
            raise Held(pages.cannot_count()) from error

    def _warn(self, workspace: str) -> None:
        """Say once a day in the log that a workspace comes near its budget; the page is told by its standing."""
        budget = self.meter.budget(self._ordered(workspace))
        shown = self.meter.shown_today(workspace)
        if shown >= budget * WARN_AT:
            self._warned[workspace] = self.meter.day()
            log.warning("%s has shown %d of %d bytes today", workspace, shown, budget)

    def _ordered(self, workspace: str) -> int | None:
        return None if self.orders is None else self.orders.budget_of(workspace, self.meter.day())
