"""Whether bytes are an ONNX model: the outermost fields of its message are walked, nothing inside is read."""

from __future__ import annotations

from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRES: Final = {
    1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES, 8: _BYTES, 14: _BYTES, 20: _BYTES,
    25: _BYTES, 26: _BYTES,
}  # fmt: skip
"""The fields of onnx.ModelProto by number, with the way in which each is written (onnx.proto)."""
_NEEDED: Final = frozenset({1, 7, 8})
"""What every model has: version of the format, graph, operator sets."""


def is_onnx(data: bytes) -> bool:
    """Say whether `data` is, from its first byte to its last, the fields of an ONNX model."""
    place, seen = 0, set()
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if place < 0 or _WIRES.get(number) != wire:
            return False
        seen.add(number)
        if wire == _VARINT:
            _, place = _varint(data, place)
        else:
            length, place = _varint(data, place)
            place = place + length if 0 <= place <= len(data) - length else -1
        if place < 0:
            return False
    return seen >= _NEEDED


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the number that begins at `place` and where it ends; a place below zero for none."""
    value = 0
    for position in range(10):
        if not 0 <= place + position < len(data):
            return 0, -1
        byte = data[place + position]
        value |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return value, place + position + 1
    return 0, -1
