"""Protocol Buffers, read by a closed schema: a field that the schema does not name is refused, so nothing hides in one.

A message is read as a dictionary of lists by field name, and written in the order of the schema: what one reads and
writes has one form only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MOST_DEEP: Final = 24
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, what it holds (int, float, double, text, bytes or the name of a message), and how often."""

    name: str
    holds: str
    many: bool = False


Schema = Mapping[str, Mapping[int, Field]]
Message = dict[str, list[Any]]


class Malformed(ValueError):
    """The bytes are no message of the schema; the message names the field and never what it holds."""


def decode(data: bytes, schema: Schema, message: str, deep: int = 0) -> Message:
    """Return the message that these bytes are; raises Malformed for an unknown field, a wrong type, a broken length."""
    if deep > MOST_DEEP:
        raise Malformed(f"messages lie more than {MOST_DEEP} deep")
    found: Message = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        field = schema[message].get(number)
        if field is None:
            raise Malformed(f"{message} has a field {number} that is not accepted")
        if field.name in found and not field.many:
            raise Malformed(f"{message} has its field {field.name} twice")
        raw, place = _raw(data, place, wire, field)
        found.setdefault(field.name, []).extend(_values(raw, wire, field, schema, deep))
    return found


def encode(value: Mapping[str, Sequence[Any]], schema: Schema, message: str) -> bytes:
    """Return the message as bytes: fields in the order of their numbers, numbers packed."""
    made = bytearray()
    for number, field in sorted(schema[message].items()):
        values = value.get(field.name, ())
        if not values:
            continue
        if field.holds in ("float", "double", "int") and len(values) > 1:
            body = b"".join(_scalar(one, field.holds) for one in values)
            made += _tag(number, _BYTES) + _number(len(body)) + body
            continue
        for one in values:
            if field.holds == "int":
                made += _tag(number, _VARINT) + _number(one)
            elif field.holds in ("float", "double"):
                made += _tag(number, _FIXED32 if field.holds == "float" else _FIXED64) + _scalar(one, field.holds)
            else:
                body = one.encode() if field.holds == "text" else one
                body = bytes(body) if field.holds in ("text", "bytes") else encode(one, schema, field.holds)
                made += _tag(number, _BYTES) + _number(len(body)) + body
    return bytes(made)


def _raw(data: bytes, place: int, wire: int, field: Field) -> tuple[Any, int]:
    if wire == _VARINT:
        return _varint(data, place)
    if wire == _BYTES:
        size, place = _varint(data, place)
    elif wire in (_FIXED32, _FIXED64):
        size = 4 if wire == _FIXED32 else 8
    else:
        raise Malformed(f"field {field.name} has a type that is not accepted")
    if place + size > len(data):
        raise Malformed(f"field {field.name} is longer than its message")
    return data[place : place + size], place + size


def _values(raw: Any, wire: int, field: Field, schema: Schema, deep: int) -> list[Any]:
    if field.holds == "int" and wire == _VARINT:
        return [_signed(raw)]
    if field.holds == "int" and wire == _BYTES:
        place, made = 0, []
        while place < len(raw):
            value, place = _varint(raw, place)
            made.append(_signed(value))
        return made
    if field.holds in ("float", "double"):
        code, size = ("f", 4) if field.holds == "float" else ("d", 8)
        if wire not in (_BYTES, _FIXED32 if size == 4 else _FIXED64) or len(raw) % size:
            raise Malformed(f"field {field.name} holds no {field.holds}")
        return list(struct.unpack(f"<{len(raw) // size}{code}", raw))
    if wire != _BYTES:
        raise Malformed(f"field {field.name} holds no {field.holds}")
    if field.holds == "bytes":
        return [raw]
    if field.holds == "text":
        try:
            return [raw.decode("utf-8")]
        except UnicodeDecodeError:
            raise Malformed(f"field {field.name} holds no text") from None
    return [decode(raw, schema, field.holds, deep + 1)]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise Malformed("a number does not end")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Malformed("a number is longer than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _scalar(value: Any, holds: str) -> bytes:
    if holds == "int":
        return _number(value)
    return struct.pack("<f" if holds == "float" else "<d", value)


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*made, value))


def _tag(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)
