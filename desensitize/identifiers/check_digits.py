"""Check digits of Chinese identifiers, one value at a time (the table versions are in `detectors`).

Words: a *body* is an identifier without its check character. Every function is pure, takes ASCII text and answers
without raising, except the three that compute a check character, which refuse a body of the wrong form.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from desensitize.errors import InvalidInput

RESIDENT_ID_WEIGHTS: tuple[int, ...] = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_ID_CHECKS = "10X98765432"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS: tuple[int, ...] = tuple(pow(3, i, 31) for i in range(17))

_USCC_VALUE = {character: value for value, character in enumerate(USCC_ALPHABET)}
_DIGITS = frozenset("0123456789")
_EARLIEST_BIRTH_YEAR = 1880

# The first two digits of a resident ID: provinces of GB/T 2260, 81-83 for the residence permit of Hong Kong, Macau
# and Taiwan residents, 9 for a foreigner's permanent residence card since 2023-12.
PROVINCE_CODES: frozenset[str] = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)


def _all_digits(text: str) -> bool:
    return bool(text) and all(character in _DIGITS for character in text)


def resident_id_check_digit(body17: str) -> str:
    """Return the 18th character of a resident ID (GB 11643-1999, MOD 11-2), `X` for ten.

    Refuses a body that is not 17 ASCII digits.
    """
    if len(body17) != 17 or not _all_digits(body17):
        raise InvalidInput("a resident ID body has exactly 17 digits")
    total = sum(int(digit) * weight for digit, weight in zip(body17, RESIDENT_ID_WEIGHTS, strict=True))
    return RESIDENT_ID_CHECKS[total % 11]


def _is_birth_date(text8: str) -> bool:
    year, month, day = int(text8[:4]), int(text8[4:6]), int(text8[6:8])
    if not _EARLIEST_BIRTH_YEAR <= year <= 2099:
        return False
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


def is_resident_id(text: str) -> bool:
    """Say whether `text` is an 18-digit resident ID: region prefix, real birth date and check digit all hold.

    Residence permits of Hong Kong, Macau and Taiwan residents (81, 82, 83) and foreigners' cards (9) have the same
    form and pass. A legacy 15-digit number has no check digit: see `is_resident_id_15`.
    """
    if len(text) != 18 or not _all_digits(text[:17]):
        return False
    if text[:2] not in PROVINCE_CODES and text[0] != "9":
        return False
    return _is_birth_date(text[6:14]) and resident_id_check_digit(text[:17]) == text[17].upper()


def is_resident_id_15(text: str) -> bool:
    """Say whether `text` has the form of a legacy 15-digit resident ID (region prefix and a real date of 19YY).

    It has no check digit.
    """
    if len(text) != 15 or not _all_digits(text):
        return False
    return text[:2] in PROVINCE_CODES and _is_birth_date("19" + text[6:12])


def uscc_check_character(body17: str) -> str:
    """Return the 18th character of a unified social credit code (GB 32100-2015, powers of 3 modulo 31).

    Refuses a body that is not 17 characters of the code's alphabet (no I, O, Z, S, V; upper case).
    """
    if len(body17) != 17 or any(character not in _USCC_VALUE for character in body17):
        raise InvalidInput("a credit code body has exactly 17 characters of 0-9 and A-Y without I, O, S, V, Z")
    total = sum(_USCC_VALUE[character] * weight for character, weight in zip(body17, USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[-total % 31]


def is_uscc(text: str) -> bool:
    """Say whether `text` is a unified social credit code.

    Department, kind, six-digit region and check character all hold.
    """
    if len(text) != 18 or any(character not in _USCC_VALUE for character in text):
        return False
    if text[0] not in "123456789ANY" or not _all_digits(text[2:8]):
        return False
    return uscc_check_character(text[:17]) == text[17]


def luhn_digit(body: str) -> str:
    """Return the Luhn check digit that completes `body` (ISO/IEC 7812-1). Refuses anything but ASCII digits."""
    if not _all_digits(body):
        raise InvalidInput("a Luhn body has digits only")
    total = 0
    for position, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def is_luhn(text: str) -> bool:
    """Say whether the last digit of `text` is the Luhn check digit of the rest.

    Length and issuer are the caller's business.
    """
    return len(text) > 1 and _all_digits(text) and luhn_digit(text[:-1]) == text[-1]


_ORG_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def is_org_code(text: str) -> bool:
    """Say whether `text` is an organisation code of GB 11714 (8 characters, perhaps a hyphen, check character)."""
    code = text.replace("-", "", 1)
    if len(code) != 9 or any(character not in _ORG_ALPHABET for character in code[:8]):
        return False
    total = sum(_ORG_ALPHABET.index(c) * weight for c, weight in zip(code[:8], _ORG_WEIGHTS, strict=True))
    return code[8] == "0123456789X0"[11 - total % 11]


def is_business_registration(text: str) -> bool:
    """Say whether `text` is a 15-digit business registration number: ISO 7064 MOD 11,10 holds."""
    if len(text) != 15 or not _all_digits(text):
        return False
    product = 10
    for digit in text[:14]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(text[14])) % 10 == 1


SCALAR_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "resident_id": is_resident_id,
    "resident_id_15": is_resident_id_15,
    "uscc": is_uscc,
    "luhn": is_luhn,
    "org_code": is_org_code,
    "business_registration": is_business_registration,
}
