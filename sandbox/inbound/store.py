"""The table of import requests."""

from __future__ import annotations

from sandbox.inbound.model import IMPORT, ImportRequest
from shuzha.core.records import Noun

IMPORTS = Noun(
    "imports", ImportRequest, lifecycle=IMPORT,
    index=["author", "organisation", "authorization", "demand", "grant", "workspace", "state"],
)  # fmt: skip
