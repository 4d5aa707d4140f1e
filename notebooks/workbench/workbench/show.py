"""Answers that read well in a notebook and stay plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from workbench import page


class Shown:
    """An answer of the platform: use `.data`, index it, or just look at it."""

    def __init__(self, title: str, data: Any) -> None:
        self.title = title
        self.data = data

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def _ipython_key_completions_(self) -> list[str]:
        return [str(key) for key in self.data] if isinstance(self.data, dict) else []

    def __repr__(self) -> str:
        return f"{self.title}\n{json.dumps(self.data, ensure_ascii=False, indent=2, default=str)}"

    def _repr_html_(self) -> str:
        rows = self.data if isinstance(self.data, list) else [self.data]
        rows = [row if isinstance(row, dict) else {"": row} for row in rows]
        heads = list(dict.fromkeys(name for row in rows for name in row))
        return page.table(heads, ([_plain(row.get(name)) for name in heads] for row in rows), page.tag("b", self.title))


def _plain(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list, bool)) else value
