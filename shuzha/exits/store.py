"""The table of exits: one for each authorization that was in force and ended."""

from __future__ import annotations

from shuzha.core.records import Noun
from shuzha.exits.model import EXIT, Exit

EXITS = Noun("exits", Exit, lifecycle=EXIT, unique=[("authorization",)], index=["operator", "state"])
