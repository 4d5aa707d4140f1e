"""The reference page says what the engine does: its plan parses, and it names every technique."""

from __future__ import annotations

import re
from pathlib import Path

from desensitize import Plan
from desensitize.transform.techniques import NAMES

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "desensitize" / "plan.md").read_text(encoding="utf-8")


def test_plan_of_the_page_parses() -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    plan = Plan.from_toml(found.group(1))
    assert Plan.from_toml(plan.to_toml()) == plan


def test_page_names_every_technique() -> None:
    assert [name for name in NAMES if f"`{name}`" not in PAGE] == []
