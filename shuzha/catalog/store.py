"""The tables of the catalogue."""

from __future__ import annotations

from shuzha.catalog.model import BATCH, ENTRY, Batch, Entry
from shuzha.core.records import Noun

ENTRIES: Noun[Entry] = Noun("entries", Entry, lifecycle=ENTRY, unique=[("code",)], index=["provider"])
BATCHES: Noun[Batch] = Noun("batches", Batch, lifecycle=BATCH, index=["entry"])
