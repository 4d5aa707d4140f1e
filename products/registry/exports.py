"""The one thing that the registry needs of the airlock: a file that was released, with what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from products.registry.model import Lineage
from shuzha.core.actor import Actor


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """One file that left the airlock; `form` is table, verification, model, figure or text."""

    form: str
    content: bytes
    sha256: str
    certificate_sha256: str
    organisation: str
    lineage: Lineage


class ReleasedFiles(Protocol):
    """Whatever keeps released exports: `sandbox.airlock` in the platform."""

    def read_released(self, actor: Actor, export_id: str, file: str) -> ReleasedFile:
        """Return a released file; raises NotFound for an unknown export or file, Invalid for one not released."""
        ...


class GrantTerms(Protocol):
    """Whatever knows what a grant allows: `shuzha.authorization` in the platform."""

    def purposes_of(self, grant_id: str) -> tuple[str, ...]:
        """Return the purposes that the grant names."""
        ...
