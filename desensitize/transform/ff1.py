"""Format-preserving encryption FF1 of many values at once (NIST SP 800-38G, 2016; its draft revision 1 of 2019).

Words: a value is a row of n numerals in base `radix`; its *halves* A and B are the numbers that the first n // 2 and
the remaining numerals write. A round encrypts one block a value with AES, all values of a batch in one call.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from desensitize.errors import InvalidPlan

Numbers: TypeAlias = npt.NDArray[np.uint64]
Words: TypeAlias = npt.NDArray[np.uint64]
ROUNDS = 10
# The draft revision of 2019: a domain of fewer values can be searched, or learned from known pairs.
LEAST_DOMAIN = 1_000_000
# A half must fit a signed 64-bit number.
_LARGEST_HALF = 2**63
_WORD = 8
_BATCH = 1 << 14


def largest_length(radix: int) -> int:
    """Return the greatest number of numerals that `FF1` takes in this base (36 for digits)."""
    half = 1
    while radix ** (half + 1) < _LARGEST_HALF:
        half += 1
    return 2 * half


def smallest_length(radix: int) -> int:
    """Return the least number of numerals whose domain is large enough (6 for digits)."""
    length = 2
    while radix**length < LEAST_DOMAIN:
        length += 1
    return length


class FF1:
    """FF1 under one key, base and tweak. Refuses keys other than 16, 24 or 32 bytes; its repr tells nothing."""

    __slots__ = ("_key", "_radix", "_tweak")

    def __init__(self, key: bytes, radix: int, tweak: bytes = b"") -> None:
        if len(key) not in (16, 24, 32):
            raise InvalidPlan("an FF1 key has 16, 24 or 32 bytes")
        if not 2 <= radix <= 256:
            raise InvalidPlan("the base of FF1 lies between 2 and 256 here")
        self._key = key
        self._radix = radix
        self._tweak = tweak

    def __repr__(self) -> str:
        return "FF1(…)"

    def encrypt(self, first: Numbers, last: Numbers, length: int) -> tuple[Numbers, Numbers]:
        """Return the halves of the encrypted values, given the halves of values of `length` numerals.

        Refuses lengths outside `smallest_length` and `largest_length`.
        """
        return self._run(first, last, length, forward=True)

    def decrypt(self, first: Numbers, last: Numbers, length: int) -> tuple[Numbers, Numbers]:
        """Return the halves of the values that `encrypt` made these of."""
        return self._run(first, last, length, forward=False)

    def _run(self, first: Numbers, last: Numbers, length: int, *, forward: bool) -> tuple[Numbers, Numbers]:
        if not smallest_length(self._radix) <= length <= largest_length(self._radix):
            fitting = f"{smallest_length(self._radix)} to {largest_length(self._radix)}"
            raise InvalidPlan(f"FF1 in base {self._radix} takes {fitting} numerals")
        work = _Rounds(self._key, self._radix, self._tweak, length)
        step = work.encrypt if forward else work.decrypt
        made = [step(first[at : at + _BATCH], last[at : at + _BATCH]) for at in range(0, len(first), _BATCH)]
        if not made:
            return first, last
        return np.concatenate([one for one, _ in made]), np.concatenate([two for _, two in made])


class _Rounds:
    """What is equal for all values of one length: sizes, and the AES state before the last block of a round."""

    def __init__(self, key: bytes, radix: int, tweak: bytes, length: int) -> None:
        self._aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - FF1 is built on single blocks
        half = length // 2
        self._moduli = (radix**half, radix ** (length - half))
        self._bytes = ((self._moduli[1] - 1).bit_length() + 7) // 8
        head = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([ROUNDS, half % 256])
        state = self._aes.update(head + length.to_bytes(4, "big") + len(tweak).to_bytes(4, "big"))
        fixed = tweak + bytes((-len(tweak) - self._bytes - 1) % 16)
        for at in range(0, len(fixed) - 15, 16):
            state = self._aes.update(_xor(state, fixed[at : at + 16]))
        self._base = int.from_bytes(_xor(state, fixed[len(fixed) // 16 * 16 :].ljust(16, b"\0")), "big")

    def encrypt(self, first: Numbers, last: Numbers) -> tuple[Numbers, Numbers]:
        blocks = self._make_blocks(len(first))
        for number in range(ROUNDS):
            modulus = np.uint64(self._moduli[number % 2])
            made = self._mix(last, number, modulus, *blocks)
            made += first
            # Below the modulus the difference wraps round to a greater number.
            first, last = last, np.minimum(made, made - modulus, out=made)
        return first, last

    def decrypt(self, first: Numbers, last: Numbers) -> tuple[Numbers, Numbers]:
        blocks = self._make_blocks(len(first))
        for number in reversed(range(ROUNDS)):
            modulus = np.uint64(self._moduli[number % 2])
            made = self._mix(first, number, modulus, *blocks)
            np.subtract(last, made, out=made)
            first, last = np.minimum(made, made + modulus, out=made), first
        return first, last

    def _make_blocks(self, rows: int) -> tuple[Words, bytearray]:
        """Return room for the AES blocks of a round, before and after, to be used by every round."""
        block = np.empty((rows, 2), dtype=">u8")
        block[:, 0] = self._base >> 64
        return block, bytearray(block.nbytes + 16)

    def _mix(self, half: Numbers, number: int, modulus: np.uint64, block: Words, mixed: bytearray) -> Numbers:
        """Return the round function's number, below `modulus`, of each half."""
        base = self._base ^ number << (8 * self._bytes)
        if self._bytes == _WORD:
            block[:, 0] = base >> 64
        block[:, 1] = half ^ np.uint64(base & (2**64 - 1))
        self._aes.update_into(block.data.cast("B"), mixed)
        words = np.frombuffer(mixed, dtype=">u8", count=2 * len(half)).reshape(-1, 2)
        found = _remainder(words[:, 0].astype(np.uint64), modulus)
        if self._bytes <= _WORD // 2:
            return found
        # Twelve bytes count: 32 more bits, as many at a time as leave room in 64.
        low, left = words[:, 1].astype(np.uint64) >> np.uint64(32), 32
        while left:
            step = min(64 - int(modulus).bit_length(), left)
            left -= step
            bits = (low >> np.uint64(left)) & np.uint64((1 << step) - 1)
            found = _remainder((found << np.uint64(step)) | bits, modulus)
        return found


def _remainder(values: Numbers, modulus: np.uint64) -> Numbers:
    """Return the remainders, made in the place of the values."""
    # numpy divides by one number without the divider, but has no such way to a remainder.
    whole = values // modulus
    whole *= modulus
    values -= whole
    return values


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))
