"""Who listens to which event. A handler bears a repeat: a durable follower hears each event at least once."""

from __future__ import annotations

from collections.abc import Mapping

from policies import Policies
from shuzha.authorization.service import FORGET_TAGS, forget_ids
from shuzha.core.outbox import Handler
from shuzha.core.work import Event


def cache_handlers(policies: Policies) -> Mapping[str, list[Handler]]:
    """Return what every process that decides listens to: changed rights leave its cache at once."""

    def forget(event: Event) -> None:
        for identifier in forget_ids(event):
            policies.forget(identifier)

    return {tag: [forget] for tag in FORGET_TAGS}
