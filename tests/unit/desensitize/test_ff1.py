"""FF1: the samples of NIST, a straightforward second implementation, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize import InvalidPlan
from desensitize.transform.ff1 import FF1, largest_length, smallest_length

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
KEYS = [
    "2B7E151628AED2A6ABF7158809CF4F3C",
    "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F",
    "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94",
]
INPUTS = [
    (10, "", "0123456789"),
    (10, "39383736353433323130", "0123456789"),
    (36, "3737373770717273373737", "0123456789abcdefghi"),
]
# "FF1samples.pdf" of NIST's examples with intermediate values, samples 1 to 9.
OUTPUTS = [
    ["2433477484", "6124200773", "a9tv40mll9kdu509eum"],
    ["2830668132", "2496655549", "xbj3kv35jrawxv32ysr"],
    ["6657667009", "1001623463", "xs8a0azh2avyalyzuwd"],
]
SAMPLES = [
    (key, radix, tweak, text, OUTPUTS[size][form])
    for size, key in enumerate(KEYS)
    for form, (radix, tweak, text) in enumerate(INPUTS)
]


def _halves(texts: list[str], radix: int) -> tuple[np.ndarray, np.ndarray, int]:
    length = len(texts[0])
    split = [(int(text[: length // 2], radix), int(text[length // 2 :], radix)) for text in texts]
    first, last = (np.array(half, dtype=np.uint64) for half in zip(*split, strict=True))
    return first, last, length


def _text(number: int, radix: int, length: int) -> str:
    made = ""
    for _ in range(length):
        number, digit = divmod(number, radix)
        made = DIGITS[digit] + made
    return made


@pytest.mark.parametrize(("key", "radix", "tweak", "text", "expected"), SAMPLES)
def test_encrypt_gives_the_samples_of_nist(key: str, radix: int, tweak: str, text: str, expected: str) -> None:
    cipher = FF1(bytes.fromhex(key), radix, bytes.fromhex(tweak))
    first, last, length = _halves([text] * 3, radix)
    one, two = cipher.encrypt(first, last, length)
    made = {
        _text(int(a), radix, length // 2) + _text(int(b), radix, length - length // 2)
        for a, b in zip(one, two, strict=True)
    }
    assert made == {expected}
    back = cipher.decrypt(one, two, length)
    assert [list(half) for half in back] == [list(first), list(last)]


def _one_by_one(key: bytes, radix: int, tweak: bytes, x: list[int]) -> list[int]:
    """Encrypt one value as SP 800-38G, algorithm 7, writes it."""

    def aes(block: bytes) -> bytes:
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)

    def num(numerals: list[int]) -> int:
        value = 0
        for numeral in numerals:
            value = value * radix + numeral
        return value

    n, t = len(x), len(tweak)
    u = n // 2
    v = n - u
    a, b_half = x[:u], x[u:]
    b = ((radix**v - 1).bit_length() + 7) // 8
    d = 4 * ((b + 3) // 4) + 4
    p = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([10, u % 256]) + n.to_bytes(4, "big") + t.to_bytes(4, "big")
    for i in range(10):
        q = tweak + bytes((-t - b - 1) % 16) + bytes([i]) + num(b_half).to_bytes(b, "big")
        r = bytes(16)
        for at in range(0, len(p + q), 16):
            r = aes(bytes(one ^ two for one, two in zip(r, (p + q)[at : at + 16], strict=True)))
        s = r + b"".join(aes((int.from_bytes(r, "big") ^ j).to_bytes(16, "big")) for j in range(1, (d + 15) // 16))
        m = u if i % 2 == 0 else v
        c = (num(a) + int.from_bytes(s[:d], "big")) % radix**m
        a, b_half = b_half, [(c // radix ** (m - 1 - k)) % radix for k in range(m)]
    return a + b_half


@given(st.data())
@settings(deadline=None)
def test_encrypt_equals_the_algorithm_written_value_by_value(data: st.DataObject) -> None:
    radix = data.draw(st.sampled_from([2, 4, 10, 16, 36, 62, 94, 256]))
    length = data.draw(st.integers(smallest_length(radix), largest_length(radix)))
    key = data.draw(st.sampled_from([bytes(range(size)) for size in (16, 24, 32)]))
    tweak = data.draw(st.binary(max_size=40))
    rows = data.draw(
        st.lists(st.lists(st.integers(0, radix - 1), min_size=length, max_size=length), min_size=1, max_size=3)
    )

    def halves(numerals: list[int]) -> tuple[int, int]:
        values = [0, 0]
        for place, numeral in enumerate(numerals):
            values[place >= length // 2] = values[place >= length // 2] * radix + numeral
        return values[0], values[1]

    cipher = FF1(key, radix, tweak)
    first, last = (np.array(half, dtype=np.uint64) for half in zip(*map(halves, rows), strict=True))
    made = cipher.encrypt(first, last, length)
    expected = [halves(_one_by_one(key, radix, tweak, row)) for row in rows]
    assert list(zip(map(int, made[0]), map(int, made[1]), strict=True)) == expected
    back = cipher.decrypt(*made, length)
    assert (list(back[0]), list(back[1])) == (list(first), list(last))


def test_encrypt_refuses_what_is_too_short_or_too_long() -> None:
    cipher = FF1(bytes(16), 10)
    numbers = np.array([1], dtype=np.uint64)
    for length in (5, 37):
        with pytest.raises(InvalidPlan, match="6 to 36 numerals"):
            cipher.encrypt(numbers, numbers, length)
    with pytest.raises(InvalidPlan, match="16, 24 or 32 bytes"):
        FF1(bytes(20), 10)
    with pytest.raises(InvalidPlan, match="between 2 and 256"):
        FF1(bytes(16), 1)
    assert repr(FF1(bytes(range(16)), 10)) == "FF1(…)"
