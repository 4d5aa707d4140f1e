"""The commands of the desensitization pages run as printed, on a residents' file, and end with the documented codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from desensitize.identifiers.check_digits import resident_id_check_digit

PAGES = Path(__file__).parents[3] / "docs" / "reference"
DISTRICTS = ("330102", "330105", "330106", "330108")


def find_commands(page: str) -> list[tuple[list[str], int]]:
    """Return each `shuzha` line of the page's blocks and the code that its comment says, else 0."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (PAGES / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in blocks if kind in ("", "sh") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("shuzha ")]
    return [(shlex.split(line, comments=True)[1:], 1 if "ends with 1" in line else 0) for line in lines]


@pytest.fixture
def residents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    bodies = [f"{DISTRICTS[n % 4]}{1950 + n % 50}01{1 + n // 1000:02d}{n % 1000:03d}" for n in range(3000)]
    frame = pl.DataFrame({
        "resident_id": [body + resident_id_check_digit(body) for body in bodies],
        "area": [body[:6] for body in bodies],
        "age": [20 + n % 50 for n in range(2999)] + [99],
    })  # fmt: skip
    frame.write_csv("residents.csv")
    Path("release.key").write_bytes(b"k" * 32)
    Path("release.key").chmod(0o600)
    return frame


def test_walk_of_the_overview_runs_as_printed(shuzha, residents: pl.DataFrame) -> None:
    commands = find_commands("desensitize.md")
    assert [arguments[0] for arguments, _ in commands] == ["scan", "desensitize", "risk", "risk", "risk"]
    for arguments, code in commands:
        ended = shuzha(*arguments)
        assert ended.code == code, (arguments, ended.err)
    assert Path("before.html").is_file()
    assert Path("after.html").is_file()


def test_risk_commands_of_their_page_run_as_printed(shuzha, residents: pl.DataFrame) -> None:
    for arguments, _ in find_commands("desensitize.md")[:2]:
        shuzha(*arguments)
    residents.write_csv("raw.csv")
    for source, target in (("data.parquet", "released.parquet"), ("data.parquet",) * 2, ("certificate.json",) * 2):
        Path(target).write_bytes((Path("release") / source).read_bytes())
    Path("city.key").write_text("00" * 32)
    commands = find_commands("desensitize/risk.md")
    assert len(commands) == 2
    for arguments, code in commands:
        ended = shuzha(*arguments)
        assert ended.code == code, (arguments, ended.err)
