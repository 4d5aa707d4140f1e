"""Who acts: a signed-in person, a process of the platform, a workspace behind its socket, or a consumer's key."""

from __future__ import annotations

from dataclasses import dataclass

SYSTEM_ORGANISATION = "org_platform"


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who asks, and by which way (`via` is the audit record's *approach*: portal, api, socket, job, cli)."""

    id: str
    name: str
    organisation: str
    roles: frozenset[str]
    via: str

    def has(self, role: str) -> bool:
        """Return whether the actor holds this role."""
        return role in self.roles


def platform_actor(job: str) -> Actor:
    """Return the actor that a platform process acts as; its role `platform` is given to no person."""
    return Actor(f"process:{job}", job, SYSTEM_ORGANISATION, frozenset({"platform"}), "job")
