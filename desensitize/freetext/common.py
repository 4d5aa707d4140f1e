"""Ordinary words: texts made of nothing else are passed by; none is taken for a name on a small chance."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def common_words() -> frozenset[str]:
    """Return the ordinary words of `common_words.txt`."""
    lines = (
        resources.files("desensitize.freetext").joinpath("common_words.txt").read_text(encoding="utf-8").splitlines()
    )
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
