"""The page on scanning says what there is: every identifier, and a Presidio example that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from desensitize.identifiers.definitions import IDENTIFIERS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "desensitize" / "scan.md").read_text(encoding="utf-8")


def test_page_names_every_identifier_in_order_and_says_which_are_weak() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (weak|)\s*\|$", PAGE, re.MULTILINE)
    assert rows == [(one.entity, "weak" if one.weak else "") for one in IDENTIFIERS]


def test_presidio_example_of_the_page_finds_both() -> None:
    example = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "AnalyzerEngine" in code)
    names: dict[str, Any] = {}
    exec(example, names)
    assert sorted(one.entity_type for one in names["found"]) == ["CN_MOBILE", "CN_RESIDENT_ID"]
