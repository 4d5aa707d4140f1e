"""Frozen dataclasses as rows: one `Noun` per record type says its table once, and both directions follow from it.

Scalars become columns of their own; a nested value (a tuple of elements, a scope) becomes one JSON column, written and
read by its annotated type. Every noun has `id` (primary key) and `revision` (optimistic lock: a save that lost a race
raises Conflict).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle
from shuzha.core.money import Amount, Price

Record = TypeVar("Record")

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UTCDateTime(sa.types.TypeDecorator[dt.datetime]):
    """An aware UTC moment, kept as ISO text on SQLite so that it sorts and never loses its zone."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> str | None:
        """Return the text to keep; refuses a naive moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the records")
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Return the aware moment."""
        return None if value is None else dt.datetime.fromisoformat(value)


class Json(sa.types.TypeDecorator[Any]):
    """A nested value as JSON text, decoded strictly to its annotated type."""

    impl = sa.Text
    cache_ok = False

    def __init__(self, hint: Any) -> None:
        super().__init__()
        self._hint = hint

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the JSON text; sets are written in order, so equal values have equal text."""
        return None if value is None else msgspec.json.encode(value, order="deterministic").decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Return the typed value."""
        return None if value is None else msgspec.json.decode(value, type=self._hint)


_SCALARS: Mapping[Any, Any] = {
    str: sa.Text,
    int: sa.BigInteger,
    bool: sa.Boolean,
    float: sa.Float,
    bytes: sa.LargeBinary,
    dt.datetime: UTCDateTime,
    dt.date: sa.Date,
}


class Noun(Generic[Record]):
    """The table of one record type, and the ways between a record and its row."""

    def __init__(
        self,
        name: str,
        record: type[Record],
        *,
        lifecycle: Lifecycle[Any] | None = None,
        unique: Iterable[tuple[str, ...]] = (),
        index: Iterable[str] = (),
        metadata: sa.MetaData = METADATA,
    ) -> None:
        self.name = name
        self.record = record
        self._hints = typing.get_type_hints(record)
        fields = [field.name for field in dataclasses.fields(record)]  # type: ignore[arg-type]
        if fields[0] != "id" or "revision" not in fields:
            raise TypeError(f"record {record.__name__} needs `id` first and `revision`")
        columns = [self._column(field) for field in fields]
        extras: list[sa.schema.SchemaItem] = [sa.UniqueConstraint(*names) for names in unique]
        extras += [sa.Index(None, field) for field in index]
        if lifecycle is not None:
            allowed = ", ".join(f"'{state.value}'" for state in lifecycle.states)
            extras.append(sa.CheckConstraint(f"state IN ({allowed})", name="state"))
        self.table = sa.Table(name, metadata, *columns, *extras)
        self._fields = tuple(fields)

    def _column(self, field: str) -> sa.Column[Any]:
        hint, nullable = _without_none(self._hints[field])
        return sa.Column(field, _column_type(hint), primary_key=field == "id", nullable=nullable)

    def to_row(self, record: Record) -> dict[str, Any]:
        """Return the row of a record; refuses text that a database cannot keep."""
        row = {field: _plain(getattr(record, field)) for field in self._fields}
        for value in row.values():
            if isinstance(value, str):
                check_text(value)
        return row

    def from_row(self, row: sa.RowMapping | Mapping[str, Any]) -> Record:
        """Return the record of a row."""
        return self.record(**{field: self._value(field, row[field]) for field in self._fields})

    def _value(self, field: str, value: Any) -> Any:
        hint, _ = _without_none(self._hints[field])
        if value is not None and isinstance(hint, type) and issubclass(hint, StrEnum | Price | Amount):
            return hint(value)
        return value


def check_text(text: str) -> None:
    """Refuse text that not every database keeps: with a null character, or with half of a surrogate pair."""
    if not is_text(text):
        raise unkept_text()


def is_text(text: str) -> bool:
    """Return whether every database keeps this text."""
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def unkept_text() -> Invalid:
    """Return the refusal of text that cannot be kept; it does not say the text."""
    return Invalid("a text that cannot be kept", rule="records.text", accepted="Unicode without null characters")


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not types.NoneType]
        if len(rest) == 1 and len(rest) < len(typing.get_args(hint)):
            return rest[0], True
    return hint, False


def _column_type(hint: Any) -> Any:
    if hint in _SCALARS:
        return _SCALARS[hint]()
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return sa.String(40)
    if hint in (Price, Amount):
        return sa.BigInteger()
    return Json(hint)


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Price):
        return value.hao
    return value.fen if isinstance(value, Amount) else value
