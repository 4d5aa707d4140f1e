"""The table of export requests."""

from __future__ import annotations

from sandbox.airlock.model import EXPORT, ExportRequest
from shuzha.core.records import Noun

EXPORTS = Noun(
    "exports", ExportRequest, lifecycle=EXPORT, index=["author", "organisation", "authorization", "workspace", "state"]
)
