"""What carries a supervisor's order out: the verbs of the rooms, each asked when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shuzha.core.actor import Actor

if TYPE_CHECKING:
    from shuzha.server.platform import Platform


class OrderMeans:
    """The means of `shuzha.oversight.orders`, by the rooms of one installation."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def suspend_product(self, actor: Actor, identifier: str, reason: str) -> object:
        """Take a product out of service."""
        return self._platform.registry.suspend(actor, identifier, reason)

    def suspend_authorization(self, actor: Actor, identifier: str, reason: str) -> object:
        """Suspend an authorization's data rights."""
        return self._platform.authorization.suspend(actor, identifier, reason)

    def suspend_key(self, actor: Actor, identifier: str, reason: str) -> object:
        """Let a key open nothing."""
        return self._platform.consumers.suspend_key(actor, identifier, reason)

    def suspend_app(self, actor: Actor, identifier: str, reason: str) -> object:
        """Let none of an app's keys open anything."""
        return self._platform.apps.suspend_app(actor, identifier, reason)
