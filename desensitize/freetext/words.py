"""The word lists of `words.toml`, ready for matching."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from desensitize.identifiers.surnames import SURNAMES
from desensitize.regions import FORMER_REGIONS, REGIONS

HAN = "[一-鿿㐀-䶿]"


@cache
def _lists() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("desensitize.freetext").joinpath("words.toml").read_text(encoding="utf-8"))


@cache
def words(section: str, name: str) -> frozenset[str]:
    """Return a list of `words.toml` as a set."""
    return frozenset(_lists()[section][name].split())


def any_of(*lists: frozenset[str]) -> str:
    """Return a pattern that matches any word of the lists, the longest that fits."""
    return "(?:" + "|".join(sorted(map(re.escape, frozenset().union(*lists)), key=len, reverse=True)) + ")"


@cache
def surnames() -> frozenset[str]:
    """Return the one-character surnames that count anywhere."""
    return frozenset(SURNAMES)


@cache
def all_surnames() -> frozenset[str]:
    """Return every one-character surname known, also those that are mostly ordinary words."""
    return surnames() | frozenset("".join(words("people", "rare_surnames")))


@cache
def place_names() -> frozenset[str]:
    """Return the names of all divisions, in force and former, with and without their ending."""
    full = {name for table in (REGIONS, FORMER_REGIONS) for name in table.values()}
    short = {re.sub(r"(?:省|市|自治区|自治州|地区|盟|区|县|旗)$", "", name) for name in full}
    return frozenset(name for name in full | short if len(name) > 1)


@cache
def characters(name: str) -> frozenset[str]:
    """Return a list of single characters of the section `people` as a set."""
    return frozenset("".join(words("people", name)))
