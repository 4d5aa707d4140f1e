"""Administrative divisions of China: six-digit codes of GB/T 2260, their names, and the prefix hierarchy.

Words: a *code* has six digits, two each for province, city and district; `330106` is a district, `330100` its city,
`330000` its province. *Current* codes are those in force on 2023-06-30 (National Bureau of Statistics, published
2023-09-11, plus Taiwan, Hong Kong and Macau); *former* codes were published by the Ministry of Civil Affairs
between 1980 and 2019 and live on inside resident IDs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from desensitize.errors import InvalidInput

LEVELS: tuple[str, ...] = ("district", "city", "province")
_PREFIX = {"district": 6, "city": 4, "province": 2}
# The residence permits of Hong Kong, Macau and Taiwan residents use 810000, 820000 and 830000 as their area.
PERMIT_AREAS: Mapping[str, str] = {"830000": "台湾居民居住证"}


@cache
def _tables() -> tuple[Mapping[str, str], Mapping[str, str]]:
    current: dict[str, str] = {}
    former: dict[str, str] = {}
    text = resources.files("desensitize").joinpath("regions.tsv").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        code, name, standing = line.split("\t")
        (current if standing == "current" else former)[code] = name
    return MappingProxyType(current), MappingProxyType(former)


REGIONS: Mapping[str, str] = _tables()[0]
FORMER_REGIONS: Mapping[str, str] = _tables()[1]


def is_region_code(code: str) -> bool:
    """Say whether `code` is a current or former division, or one of the areas that residence permits use."""
    return code in REGIONS or code in FORMER_REGIONS or code in PERMIT_AREAS


def find_name(code: str) -> str | None:
    """Return the division's own name (a former name where the code is no longer in force), or None."""
    return REGIONS.get(code) or FORMER_REGIONS.get(code) or PERMIT_AREAS.get(code)


def truncate_code(code: str, level: str) -> str:
    """Return the six-digit code of the district, city or province that holds `code`.

    Refuses a level that is not one of `LEVELS`, and a code that is not six ASCII digits.
    """
    if level not in _PREFIX:
        raise InvalidInput(f"region level `{level}` is not one of: {', '.join(LEVELS)}")
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        raise InvalidInput("a region code has exactly six digits")
    return code[: _PREFIX[level]].ljust(6, "0")


def list_districts(city: str) -> tuple[str, ...]:
    """Return the codes of the current districts and counties of a city code such as `330100`, in order."""
    return tuple(code for code in REGIONS if code[:4] == city[:4] and code[4:] != "00")


def list_cities(province: str) -> tuple[str, ...]:
    """Return the codes of the current cities of a province code such as `330000`, in order."""
    return tuple(code for code in REGIONS if code[:2] == province[:2] and code[2:4] != "00" and code[4:] == "00")
