"""The one thing that the registry needs of the airlock: a file that was released, with what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from products.registry.model import Lineage
from sandbox.airlock.service import AirlockService
from shuzha.core.actor import Actor


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """One file that left the airlock, with its record; `form` is table, verification, model, service, figure or text.

    `specification` says how it was described: empty for what nothing describes.
    """

    form: str
    content: bytes
    sha256: str
    certificate_sha256: str
    organisation: str
    lineage: Lineage
    specification: str = ""


class ReleasedFiles(Protocol):
    """Whatever keeps released exports: `sandbox.airlock` in the platform."""

    def read_released(self, actor: Actor, export_id: str, file: str) -> ReleasedFile:
        """Return a released file; raises NotFound for an unknown export or file, Invalid for one not released."""
        ...

    def recall_of(self, export_id: str) -> str | None:
        """Return why an export was recalled, or None where it was not."""
        ...

    def read_certificate(self, actor: Actor, export_id: str) -> bytes:
        """Return the record of a release, byte for byte as its hash is of; raises NotFound."""
        ...


class AirlockFiles:
    """The airlock as the registry sees it."""

    def __init__(self, airlock: AirlockService) -> None:
        self._airlock = airlock

    def read_released(self, actor: Actor, export_id: str, file: str) -> ReleasedFile:
        """Return a released file; raises NotFound for an unknown export or file, Invalid for one not released."""
        found = self._airlock.read_released(actor, export_id, file)
        lineage = Lineage(
            found.export, found.file, found.workspace, found.releases, found.grant, found.demand, found.authorization,
            found.entry,
        )  # fmt: skip
        return ReleasedFile(
            found.form, found.content, found.sha256, found.record_sha256, found.organisation, lineage,
            found.specification,
        )  # fmt: skip

    def recall_of(self, export_id: str) -> str | None:
        """Return why an export was recalled, or None where it was not."""
        return self._airlock.recall_of(export_id)

    def read_certificate(self, actor: Actor, export_id: str) -> bytes:
        """Return the record of a release, byte for byte as its hash is of; raises NotFound."""
        return self._airlock.read_record(actor, export_id).content
