"""Answers that read well in a notebook and stay plain data."""

from __future__ import annotations

import html
import json
from typing import Any


class Shown:
    """An answer of the platform: use `.data`, index it, or just look at it."""

    def __init__(self, title: str, data: Any) -> None:
        self.title = title
        self.data = data

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __iter__(self) -> Any:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"{self.title}\n{json.dumps(self.data, ensure_ascii=False, indent=2, default=str)}"

    def _repr_html_(self) -> str:
        rows = self.data if isinstance(self.data, list) else [self.data]
        rows = [row if isinstance(row, dict) else {"": row} for row in rows]
        heads = list(dict.fromkeys(name for row in rows for name in row))
        head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in heads)
        body = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in heads) + "</tr>" for row in rows)
        caption = html.escape(self.title)
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return html.escape("" if value is None else str(value))
