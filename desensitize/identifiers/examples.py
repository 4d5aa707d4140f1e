"""Made-up identifiers of every kind, for tests, benchmarks and demonstrations: valid by form and check, nobody's.

Each maker takes a random generator and returns one identifier as people write it, separators now and then included.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping

from desensitize.identifiers.check_digits import (
    USCC_ALPHABET,
    VIN_ALPHABET,
    VIN_VALUES,
    VIN_WEIGHTS,
    is_business_registration,
    is_org_code,
    luhn_digit,
    resident_id_check_digit,
    uscc_check_character,
)
from desensitize.regions import REGIONS

Maker = Callable[[random.Random], str]

_DISTRICTS = tuple(code for code in REGIONS if code[4:] != "00")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_PLATE = _LETTERS + string.digits
_MOBILES = ("130", "138", "139", "147", "150", "159", "166", "173", "177", "186", "188", "191", "199")
_PERMITS = ("810000", "820000", "830000", "911156")


def _digits(rng: random.Random, count: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choices(string.digits, k=count - 1))


def _text(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def _day(rng: random.Random, years: tuple[int, int] = (1940, 2020)) -> str:
    return f"{rng.randint(*years)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"


def _join(rng: random.Random, *parts: str) -> str:
    return rng.choice(["", "", "", " ", "-"]).join(parts)


def make_resident_id(rng: random.Random) -> str:
    """Return a resident ID of 18 characters, one in ten a permit of 81, 82, 83 or a foreigner's card."""
    area = rng.choice(_PERMITS if rng.random() < 0.1 else _DISTRICTS)
    day, sequence = _day(rng), _digits(rng, 3)
    check = resident_id_check_digit(area + day + sequence)
    return _join(rng, area, day[:4], day[4:], sequence + (check.lower() if rng.random() < 0.1 else check))


def _resident_id_15(rng: random.Random) -> str:
    return rng.choice(_DISTRICTS) + _day(rng, (1940, 1999))[2:] + _digits(rng, 3)


def _bank_card(rng: random.Random) -> str:
    body = "62" + _digits(rng, rng.choice([13, 14, 15, 16]))
    card = body + luhn_digit(body)
    if rng.random() < 0.2 and len(card) in (16, 19):
        return rng.choice(" -").join(card[place : place + 4] for place in range(0, len(card), 4))
    return card


def _uscc(rng: random.Random) -> str:
    body = rng.choice(["91", "92", "11", "12", "51", "N2"]) + rng.choice(_DISTRICTS) + _text(rng, USCC_ALPHABET, 9)
    return body + uscc_check_character(body)


def _mobile(rng: random.Random) -> str:
    number = rng.choice(_MOBILES) + _digits(rng, 8)
    if rng.random() < 0.2:
        number = rng.choice(" -").join([number[:3], number[3:7], number[7:]])
    return rng.choice(["", "", "", "", "+86", "+86 ", "86-", "0086 "]) + number


def _email(rng: random.Random) -> str:
    name = _text(rng, string.ascii_lowercase, rng.randint(2, 9)) + rng.choice(["", ".x", "_1", "88"])
    return f"{name}@{rng.choice(['163.com', 'qq.com', 'mail.gov.cn', 'example-site.com.cn'])}"


def _plate(rng: random.Random) -> str:
    forms = [
        _text(rng, _PLATE, 5),
        rng.choice("DF") + _digits(rng, 5),
        _digits(rng, 5) + rng.choice("DF"),
        _text(rng, _PLATE, 4) + rng.choice("学警挂"),
    ]
    return rng.choice("京津沪渝冀豫浙粤苏川") + rng.choice("ABCDEF") + rng.choice(["", "", "·"]) + rng.choice(forms)


def _landline(rng: random.Random) -> str:
    area, size = rng.choice([("010", 8), ("0571", 8), ("0755", 8), ("021", 8), ("0793", 7)])
    number = _digits(rng, size, "2345678")
    return rng.choice(
        [f"{area}-{number}", f"{area}{number}", f"({area}){number}", f"{area} {number}-{_digits(rng, 3)}"]
    )


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        groups = [f"{rng.randint(0, 65535):x}" for _ in range(7)]
        return rng.choice([f"240e:{':'.join(groups)}", f"fe80::{':'.join(groups[:4])}", f"2001:db8::{groups[0]}"])
    return ".".join(str(rng.randint(0, 255)) for _ in range(4))


def _mac(rng: random.Random) -> str:
    return rng.choice(":-").join(f"{rng.randint(0, 255):02{rng.choice('xX')}}" for _ in range(6))


def _vin(rng: random.Random) -> str:
    text = rng.choice(["LSV", "LFV", "LBE", "LGX"]) + _text(rng, VIN_ALPHABET, 5)
    tail = _text(rng, VIN_ALPHABET, 4) + _digits(rng, 4)
    value = dict(zip(VIN_ALPHABET, VIN_VALUES, strict=True))
    total = sum(value[one] * weight for one, weight in zip(text + "0" + tail, VIN_WEIGHTS, strict=True))
    return text + "0123456789X"[total % 11] + tail


def _coordinates(rng: random.Random) -> str:
    east, north = f"{rng.uniform(74, 134):.6f}", f"{rng.uniform(19, 53):.6f}"
    return rng.choice([f"{east},{north}", f"{north}, {east}"])


def _real_estate(rng: random.Random) -> str:
    parcel = _digits(rng, 6), rng.choice("GJZ") + rng.choice("BSC") + _digits(rng, 5)
    parts = [rng.choice(_DISTRICTS), parcel[0], parcel[1], rng.choice("FW") + _digits(rng, 8)]
    return rng.choice(["", " "]).join(parts)


def _military(rng: random.Random) -> str:
    return f"{rng.choice('军士文')}字第{_digits(rng, rng.choice([6, 7, 8]))}"


def _until(valid: Callable[[str], bool], make: Maker) -> Maker:
    def draw(rng: random.Random) -> str:
        while not valid(text := make(rng)):
            continue
        return text

    return draw


_org_code = _until(
    is_org_code, lambda rng: _text(rng, string.digits + _LETTERS, 8) + _text(rng, string.digits + "X", 1)
)


def _imei(rng: random.Random) -> str:
    body = "86" + _digits(rng, 12)
    return body + luhn_digit(body)


EXAMPLES: Mapping[str, Maker] = {
    "CN_RESIDENT_ID": make_resident_id,
    "CN_RESIDENT_ID_15": _resident_id_15,
    "CN_BANK_CARD": _bank_card,
    "CN_USCC": _uscc,
    "CN_MOBILE": _mobile,
    "EMAIL_ADDRESS": _email,
    "CN_PLATE": _plate,
    "CN_LANDLINE": _landline,
    "IP_ADDRESS": _ip,
    "MAC_ADDRESS": _mac,
    "CN_VIN": _vin,
    "CN_COORDINATES": _coordinates,
    "CN_REAL_ESTATE_UNIT": _real_estate,
    "CN_MILITARY_ID": _military,
    "CN_PASSPORT": lambda rng: rng.choice([f"E{_digits(rng, 8)}", f"E{rng.choice(_LETTERS)}{_digits(rng, 7)}"]),
    "CN_TRAVEL_PERMIT": lambda rng: rng.choice("HM") + _digits(rng, rng.choice([8, 10])),
    "CN_TAIWAN_PERMIT": lambda rng: _digits(rng, 8),
    "CN_FOREIGNER_CARD": lambda rng: f"USA{_digits(rng, 4)}{_day(rng)[2:]}{_digits(rng, 2)}",
    "CN_SOCIAL_SECURITY_CARD": lambda rng: rng.choice(_LETTERS) + _digits(rng, 8),
    "CN_ORG_CODE": _org_code,
    "CN_TAX_NUMBER": lambda rng: rng.choice(_DISTRICTS) + _org_code(rng),
    "CN_BUSINESS_REGISTRATION": _until(is_business_registration, lambda rng: _digits(rng, 15, "1234567")),
    "IMEI": _imei,
    "IMSI": lambda rng: "460" + _digits(rng, 12),
    "QQ": lambda rng: _digits(rng, rng.randint(5, 10), "123456789"),
    "WECHAT": lambda rng: f"wx_{_text(rng, string.ascii_lowercase, 6)}{rng.randint(0, 99)}",
}


def make_examples(entity: str, count: int, seed: int = 0) -> list[str]:
    """Return `count` made-up identifiers of this kind, the same ones for the same seed."""
    rng = random.Random(f"{entity} {seed}")  # noqa: S311 - made-up data, not keys
    return [EXAMPLES[entity](rng) for _ in range(count)]
