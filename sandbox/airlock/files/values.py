"""JSON and notebooks, read as values and written anew: keys in order, few digits, plain text, nothing between.

A list of flat objects is a table and has its rows in order; any other list may mean its order and keeps it. Of a
notebook its code and text leave, never an output, a number of execution, an attachment or metadata.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import polars as pl

from sandbox.airlock.files.kinds import FileType, Limits, Read, Unreadable, too_large, unlisted
from sandbox.airlock.files.letters import plain_text
from sandbox.airlock.files.opaque import check_opaque_texts
from sandbox.airlock.files.tables import write_parquet
from sandbox.airlock.findings import Finding, Severity

_LARGEST: Final = 2**63 - 1
_TABLES: Final = 50
_SOURCE_LINE: Final = 500
_LANGUAGES: Final = frozenset({"python"})

Scalar = str | int | float | bool | None


def read_json(data: bytes, limits: Limits) -> Read:
    """Return a JSON document read; refuses one that is nested too deep or holds too many values."""
    _check_depth(data, limits.depth)
    value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    count = sum(1 for _ in _leaves(value))
    most = limits.rows * min(limits.columns, 20)
    if count > most:
        return Read(FileType.JSON, (too_large(f"at most {most} values", count, most),), rows=count)
    made = _plain(value, limits)
    texts = tuple(dict.fromkeys(_texts(made)))
    if any(len(text) > limits.cell for text in texts):
        accepted = f"texts of at most {limits.cell} letters"
        return Read(FileType.JSON, (too_large(accepted, max(map(len, texts)), limits.cell),), rows=count)
    written = msgspec.json.encode(made, order="sorted") + b"\n"
    tables = tuple(write_parquet(table) for table in _tables(made))
    changed = sum(
        1
        for one, other in zip(_leaves(value), _leaves(_plain(value, limits, sort=False)), strict=False)
        if one != other
    )
    findings = tuple(check_opaque_texts(texts, "value"))
    return Read(FileType.JSON, findings, written, count, (("value", texts),), tables, changed)


def read_notebook(data: bytes, limits: Limits) -> Read:
    """Return a notebook read: the source of its cells and nothing else, to be judged by people."""
    _check_depth(data, 4 * limits.depth)
    value = json.loads(data.decode("utf-8-sig"))
    if value.get("nbformat") != 4:
        raise Unreadable("a notebook of another format than 4")
    cells, outputs = [], 0
    for number, cell in enumerate(value["cells"], 1):
        kind, source = cell.get("cell_type"), cell.get("source", "")
        source = "".join(source) if isinstance(source, list) else source
        if kind not in ("code", "markdown", "raw") or not isinstance(source, str):
            raise Unreadable("a cell of no known kind")
        outputs += len(cell.get("outputs") or ())
        lines = [_source_line(line) for line in source.splitlines()]
        made: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": "\n".join(lines)}
        cells.append(made | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    lines = [line for cell in cells for line in cell["source"].splitlines()]
    longest = max(map(len, lines), default=0)
    if len(lines) > limits.rows or longest > _SOURCE_LINE:
        accepted = f"at most {limits.rows} lines of at most {_SOURCE_LINE} letters"
        return Read(FileType.NOTEBOOK, (too_large(accepted, longest, _SOURCE_LINE),), rows=len(lines))
    document = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    findings = check_opaque_texts(lines, "source")
    if outputs:
        findings.append(Finding("canonical", Severity.NOTE, "a notebook leaves without outputs", None, outputs))
    written = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    texts = (("source", tuple(dict.fromkeys(lines))),)
    return Read(FileType.NOTEBOOK, tuple(findings), written, len(lines), texts, _words(lines))


def read_specification(_data: bytes, _limits: Limits) -> Read:
    """Return the refusal of a specification handed in as a file: the platform judges it only where it is declared."""
    accepted = "workbench.table or workbench.verification, declared as what it is"
    return Read(FileType.SPECIFICATION, (unlisted("a specification inside a file", accepted),))


def _check_depth(data: bytes, most: int) -> None:
    """Refuse text with more brackets open than allowed, before a parser follows them."""
    depth, quoted, escaped = 0, False, False
    for byte in data:
        if quoted:
            escaped, quoted = (byte == 0x5C and not escaped), not (byte == 0x22 and not escaped)
        elif byte == 0x22:
            quoted = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > most:
                raise Unreadable("values nested too deep")
        elif byte in (0x5D, 0x7D):
            depth -= 1


def _plain(value: Any, limits: Limits, *, sort: bool = True) -> Any:
    if isinstance(value, dict):
        made = {plain_text(key): _plain(one, limits, sort=sort) for key, one in value.items()}
        if len(made) != len(value):
            raise Unreadable("two keys that look alike")
        return made
    if isinstance(value, list):
        items = [_plain(one, limits, sort=sort) for one in value]
        return sorted(items, key=_row_key) if sort and _is_table(items) else items
    return _plain_scalar(value, limits)


def _plain_scalar(value: Scalar, limits: Limits) -> Scalar:
    if isinstance(value, str):
        return plain_text(value, limits.digits)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise Unreadable("a whole number of more than 64 bits")
        grid: int = 10 ** max(0, len(str(abs(value))) - limits.integer_digits)
        return value // grid * grid
    if not math.isfinite(value):
        raise Unreadable("a number that is none")
    return float(f"{value:.{limits.digits}g}") + 0.0


def _is_table(items: list[Any]) -> bool:
    return len(items) > 1 and all(
        isinstance(one, dict) and not any(isinstance(field, dict | list) for field in one.values()) for one in items
    )


def _row_key(row: dict[str, Scalar]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def _leaves(value: Any) -> Iterator[Any]:
    """Yield every key and every scalar, in the order of the document."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting += reversed(one.values())
        elif isinstance(one, list):
            waiting += reversed(one)
        else:
            yield one


def _texts(value: Any) -> Iterator[str]:
    for one in _leaves(value):
        if isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool)):
            yield str(one)


def _tables(value: Any) -> Iterator[pl.DataFrame]:
    """Yield what can be read as a table: lists of objects or of lists, objects of equally long lists, all scalars."""
    waiting, found = [value], 0
    while waiting and found < _TABLES:
        one = waiting.pop()
        items = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        rows = _rows(one)
        if len(rows) > 1:
            yield _frame(rows)
            found += 1
        waiting += [item for item in items if isinstance(item, dict | list)]
    scalars = [one for one in _leaves(value) if one is not None and not isinstance(one, bool)]
    if scalars:
        yield _frame([{"value": str(one)} for one in scalars])


def _rows(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        if value and all(isinstance(one, dict) for one in value):
            return value
        if value and all(isinstance(one, list) for one in value):
            return [{f"c{place}": item for place, item in enumerate(one)} for one in value]
    if isinstance(value, dict) and value:
        lists = {key: one for key, one in value.items() if isinstance(one, list)}
        if len({len(one) for one in lists.values()}) == 1:
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        if all(isinstance(one, dict) for one in value.values()):
            return [{"key": key, **one} for key, one in value.items()]
    return []


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = list(dict.fromkeys(name for row in rows for name in row))[:400]
    columns = {
        name: [None if isinstance(one := row.get(name), dict | list) or one is None else str(one) for row in rows]
        for name in names
    }
    return pl.read_csv(
        io.StringIO(pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)).write_csv()), infer_schema=False
    )


def _source_line(line: str) -> str:
    body = line.lstrip(" \t")
    return " " * (len(line.expandtabs(4)) - len(body.expandtabs(4))) + plain_text(body, 17)


def _words(lines: list[str]) -> tuple[bytes, ...]:
    """Return what a source says word by word, as one column: a list of keys may stand in it."""
    words = [word for line in lines for word in line.replace(",", " ").split()]
    frame = pl.DataFrame({"word": words}, schema={"word": pl.String}).select(
        pl.col("word").str.strip_chars("\"'()[]{}:;=")
    )
    return (write_parquet(frame),)
