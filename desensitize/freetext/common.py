"""Ordinary words: texts made of nothing else are passed by; none is taken for a name on a small chance."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from desensitize.freetext.words import all_surnames


@cache
def common_words() -> frozenset[str]:
    """Return the ordinary words of `common_words.txt`."""
    lines = (
        resources.files("desensitize.freetext").joinpath("common_words.txt").read_text(encoding="utf-8").splitlines()
    )
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


@cache
def ordinary_words() -> re.Pattern[str]:
    """Return the pattern of the words that name nobody wherever they stand.

    A single character counts only if it is no surname and starts no nickname (小, 老, 阿, 大).
    """
    unsafe = all_surnames() | set("小老阿大某")
    safe = sorted((word for word in common_words() if word not in unsafe), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, safe)))
