"""Check digits of Chinese identifiers, one value at a time (the table versions are in `detectors`).

Words: a *body* is an identifier without its check character. Every function is pure, takes ASCII text and answers
without raising, except the three that compute a check character, which refuse a body of the wrong form.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from desensitize.errors import InvalidInput
from desensitize.regions import FORMER_REGIONS, PERMIT_AREAS, REGIONS

RESIDENT_ID_WEIGHTS: tuple[int, ...] = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_ID_CHECKS = "10X98765432"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS: tuple[int, ...] = tuple(pow(3, i, 31) for i in range(17))

_USCC_VALUE = {character: value for value, character in enumerate(USCC_ALPHABET)}
_DIGITS = frozenset("0123456789")
_EARLIEST_BIRTH_YEAR, _LATEST_BIRTH_YEAR = 1880, 2049

# The first four digits of a resident ID name its prefecture, which must be a current or former one. The whole six are
# not asked for: cards carry codes of development zones that no list of GB/T 2260 has, and a person missed is worse
# than a number doubted; four digits already leave 6 % of random numbers. 81-83 are residence permits of Hong Kong,
# Macau and Taiwan residents; a 9 is a foreigner's permanent residence card since 2023-12.
PREFECTURE_CODES: frozenset[str] = frozenset(
    [code[:4] for code in REGIONS] + [code[:4] for code in FORMER_REGIONS] + [code[:4] for code in PERMIT_AREAS]
)


def _is_known_area(code: str) -> bool:
    return code[0] == "9" or code[:4] in PREFECTURE_CODES


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
    if not _EARLIEST_BIRTH_YEAR <= year <= _LATEST_BIRTH_YEAR:
        return False
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


def is_resident_id(text: str) -> bool:
    """Say whether `text` is an 18-digit resident ID: prefecture, real birth date and check digit all hold.

    Residence permits of Hong Kong, Macau and Taiwan residents (81, 82, 83) and foreigners' cards (9) have the same
    form and pass. A legacy 15-digit number has no check digit: see `is_resident_id_15`.
    """
    if len(text) != 18 or not _all_digits(text[:17]):
        return False
    return (
        _is_known_area(text) and _is_birth_date(text[6:14]) and resident_id_check_digit(text[:17]) == text[17].upper()
    )


def is_resident_id_15(text: str) -> bool:
    """Say whether `text` has the form of a legacy 15-digit resident ID (a known prefecture and a real date of 19YY).

    It has no check digit.
    """
    if len(text) != 15 or not _all_digits(text):
        return False
    return text[:4] in PREFECTURE_CODES and _is_birth_date("19" + text[6:12])


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


def is_tax_number(text: str) -> bool:
    """Say whether `text` is a taxpayer number of before 2015: a known prefecture, then a valid organisation code."""
    return len(text) == 15 and text[:4] in PREFECTURE_CODES and text[4:6].isdigit() and is_org_code(text[6:])


VIN_ALPHABET = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
VIN_VALUES: tuple[int, ...] = (*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10))
VIN_WEIGHTS: tuple[int, ...] = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_VALUE = dict(zip(VIN_ALPHABET, VIN_VALUES, strict=True))


def is_vin(text: str) -> bool:
    """Say whether `text` is a vehicle identification number (GB 16735): the ninth character is the check of the rest.

    Its first three characters, the maker, must hold a letter: a number of 17 digits is none.
    """
    if len(text) != 17 or any(character not in _VIN_VALUE for character in text) or text[:3].isdigit():
        return False
    total = sum(_VIN_VALUE[character] * weight for character, weight in zip(text, VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == text[8]


def _read(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return the check on a text as it is written: blanks and hyphens between its parts, letters of either case."""
    return lambda text: check(text.replace(" ", "").replace("-", "").upper())


SCALAR_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "resident_id": _read(is_resident_id),
    "resident_id_15": _read(is_resident_id_15),
    "uscc": _read(is_uscc),
    "luhn": _read(is_luhn),
    "org_code": _read(is_org_code),
    "business_registration": _read(is_business_registration),
    "tax_number": _read(is_tax_number),
    "vin": _read(is_vin),
}
