"""BLAKE3 of short inputs (one chunk, at most 1024 bytes), from the paper: a second opinion for tests."""

from __future__ import annotations

import struct

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_MASK = 0xFFFFFFFF


def blake3(data: bytes) -> str:
    """Return the hash of at most 1024 bytes in hexadecimal."""
    assert len(data) <= 1024
    blocks = [data[start : start + 64] for start in range(0, len(data), 64)] or [b""]
    value = list(_IV)
    for number, block in enumerate(blocks):
        flags = (number == 0) * 1 | (number == len(blocks) - 1) * (2 | 8)
        value = _compress(value, struct.unpack("<16I", block.ljust(64, b"\0")), len(block), flags)
    return struct.pack("<8I", *value).hex()


def _compress(value: list[int], words: tuple[int, ...], length: int, flags: int) -> list[int]:
    v = [*value, *_IV[:4], 0, 0, length, flags]
    message = list(words)
    for _ in range(7):
        for number, (a, b, c, d) in enumerate((*_COLUMNS, *_DIAGONALS)):
            for word, first, second in ((message[2 * number], 16, 12), (message[2 * number + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & _MASK
                v[d] = _turn(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & _MASK
                v[b] = _turn(v[b] ^ v[c], second)
        message = [message[place] for place in _ORDER]
    return [v[n] ^ v[n + 8] for n in range(8)]


def _turn(word: int, bits: int) -> int:
    return (word >> bits | word << (32 - bits)) & _MASK
