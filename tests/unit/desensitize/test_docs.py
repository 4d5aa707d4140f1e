"""The reference pages say what the engine does: their plans parse, and their code runs as printed."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import Plan
from desensitize.freetext.redaction import redact_text
from desensitize.identifiers.check_digits import resident_id_check_digit
from desensitize.synthetic import SyntheticPlan
from desensitize.transform.techniques import NAMES

FOLDER = Path(__file__).parents[3] / "docs" / "reference" / "desensitize"
DISTRICTS = ("330102", "330105", "330106", "330108")
ILLNESSES = ("flu", "asthma", "gastritis", "fracture")
KEY = b"k" * 32


def read_page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def find_blocks(page: str, language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", read_page(page), re.DOTALL | re.MULTILINE)
    return [block for kind, block in blocks if kind == language]


def make_resident_id(number: int) -> str:
    """Return the resident ID of somebody, another one for each number below 25,000."""
    body = f"{DISTRICTS[number % 4]}{1950 + number % 50}01{1 + number // 1000:02d}{number % 1000:03d}"
    return body + resident_id_check_digit(body)


def make_people(rows: int = 600) -> pl.DataFrame:
    """Return people as the pages name their columns; few enough values that k = 5 leaves some detail."""
    numbers = range(rows)
    return pl.DataFrame({
        "resident_id": [f"p{number}" for number in numbers],
        "person": [f"p{number}" for number in numbers],
        "area": [DISTRICTS[number % 4] for number in numbers],
        "born": [dt.date(1950 + number % 50, 1 + number % 12, 1) for number in numbers],
        "sex": ["男女"[number // 3 % 2] for number in numbers],
        "age": [20 + number % 50 for number in numbers],
        "wage": [3000 + 37 * (number % 97) for number in numbers],
        "illness": [ILLNESSES[number // 5 % 4] for number in numbers],
    })  # fmt: skip


def prepare_scan() -> dict[str, Any]:
    pl.DataFrame({
        "zjhm": [make_resident_id(number) for number in range(200)],
        "csrq": [f"19{50 + number % 50}-01-0{1 + number % 9}" for number in range(200)],
    }).write_csv("residents.csv")  # fmt: skip
    return {"frame": make_people()}


def prepare_first() -> dict[str, Any]:
    people = make_people(3000)
    numbers = pl.Series("resident_id", [make_resident_id(number) for number in range(people.height)])
    frame = people.select(numbers, "area", "sex", "age")
    frame.write_csv("residents.csv")
    return {"key": KEY, "frame": frame}


def prepare_anonymity() -> dict[str, Any]:
    people = make_people()
    return {"frame": people.drop("person", "sex", "age"), "register": pl.concat([people] * 6)}


def prepare_risk() -> dict[str, Any]:
    people = make_people().select("resident_id", "area", "age", diagnosis="illness")
    raw, control = people[:400], people[400:]
    old = raw.drop("age", "diagnosis")
    return {"raw": raw, "released": raw, "control": control, "old": old, "new": raw.drop("diagnosis")}


def prepare_privacy() -> dict[str, Any]:
    people = make_people()
    people.select("resident_id", district_code="area", base="wage", paid=pl.lit(value=True)).write_parquet(
        "insurance.parquet"
    )
    return {}


def prepare_synthetic() -> dict[str, Any]:
    people = make_people()
    jobs = pl.Series("job", ["health", "office", "farm", None] * (people.height // 4))
    return {"frame": people.select("area", jobs, "age")}


PAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "../desensitize.md": prepare_first,
    "anonymity.md": prepare_anonymity,
    "differential-privacy.md": prepare_privacy,
    "risk.md": prepare_risk,
    "scan.md": prepare_scan,
    "synthetic.md": prepare_synthetic,
}
ELSEWHERE = ("workbench.", "session.table(")  # a notebook's code, and Spark's: both need what no unit test has


@pytest.mark.parametrize("page", PAGES)
def test_code_of_the_page_runs_as_printed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = PAGES[page]()
    blocks = [block for block in find_blocks(page, "python") if not any(word in block for word in ELSEWHERE)]
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_every_page_with_code_is_run() -> None:
    with_code = {
        page.name
        for page in FOLDER.glob("*.md")
        if any(not any(word in block for word in ELSEWHERE) for block in find_blocks(page.name, "python"))
    }
    assert with_code == {name for name in PAGES if "/" not in name}


def test_plan_of_the_page_parses() -> None:
    plan = Plan.from_toml(find_blocks("plan.md", "toml")[0])
    assert Plan.from_toml(plan.to_toml()) == plan


def test_anonymity_part_of_the_page_parses() -> None:
    part = tomllib.loads(find_blocks("anonymity.md", "toml")[0])
    plan = Plan.from_dict({"columns": {"area": "keep", "illness": "keep"}, **part})
    assert Plan.from_toml(plan.to_toml()) == plan
    assert len(plan.anonymity.goals()) == 2


def test_synthetic_plan_of_the_page_makes_a_release() -> None:
    plan = SyntheticPlan.from_toml(find_blocks("synthetic.md", "toml")[0])
    people = make_people().select("resident_id", "wage", district="area")
    made = desensitize.synthetic.release_synthetic(people, plan)
    assert set(made.frame.collect_schema().names()) == {"wage", "district"}


def test_redacted_example_of_the_page_is_what_redaction_gives() -> None:
    given, expected = find_blocks("free-text.md", "")[0].strip().split("\n")
    assert redact_text(given) == expected


def test_page_names_every_technique() -> None:
    assert [name for name in NAMES if f"`{name}`" not in read_page("plan.md")] == []


def test_overview_links_every_page() -> None:
    overview = read_page("../desensitize.md")
    assert [page.name for page in FOLDER.glob("*.md") if f"desensitize/{page.name}" not in overview] == []


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [FOLDER.parent / "desensitize.md", FOLDER.parent / "terms.md", *FOLDER.glob("*.md")]
    for page in pages:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
            linked = (page.parent / target).resolve() if target else page
            assert linked.exists(), (page.name, target)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
                assert anchor in [heading.lower().replace(" ", "-") for heading in headings], (page.name, anchor)
