"""What the catalogue says of a granted table: its title, abstract and the titles of the columns that were granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shuzha.catalog.model import Entry, Title


def describe_entry(entry: Entry, columns: Sequence[str]) -> dict[str, Any]:
    """Return title, abstract and, of `columns` only, each element's title and role; no value of the data is in it."""
    granted = frozenset(columns)
    elements = [
        {"name": one.name, "title": _both(one.title), "role": one.role.value}
        for one in entry.elements if one.name in granted
    ]  # fmt: skip
    return {"title": _both(entry.title), "abstract": entry.sheet.abstract, "elements": elements}


def _both(title: Title) -> dict[str, str]:
    return {"zh": title.zh, "en": title.en}
