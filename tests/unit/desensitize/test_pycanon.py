"""An independent checker, pycanon, finds the anonymity that was asked for; it runs in an environment of its own.

Its entropy is cut to a whole number. Its recursive (c,l) sorts counts the other way round than the model's definition;
that model is checked by `anonymity_kit` alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import Hierarchy

ROOT = Path(__file__).parents[3]
ADULT = ROOT.parent / "shared" / "data" / "adult"
CODE = """
import json, sys
import pandas as pd
from pycanon import anonymity
path, sensitive = sys.argv[1], sys.argv[2]
data = pd.read_csv(path, dtype=str, keep_default_na=False)
quasi = [name for name in data.columns if name != sensitive]
found = {"k": anonymity.k_anonymity(data, quasi)}
found["l"] = anonymity.l_diversity(data, quasi, [sensitive])
found["entropy"] = anonymity.entropy_l_diversity(data, quasi, [sensitive])
found["t"] = anonymity.t_closeness(data, quasi, [sensitive])
print(json.dumps({name: float(value) for name, value in found.items()}))
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not ADULT.is_dir(), reason="the census extract ../shared/data/adult is not here"),
]


@pytest.fixture(scope="module")
def checker() -> Any:
    """Return a function that has pycanon look at a table; skips where its environment cannot be made."""
    sys.path.insert(0, str(ROOT / "bench" / "desensitization"))
    try:
        from rivals import python_of, run_rival

        python_of("pycanon")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"pycanon's environment cannot be made here: {type(error).__name__}")
    finally:
        sys.path.pop(0)
    return lambda path: run_rival("pycanon", CODE, str(path), "occupation")


def _read() -> tuple[pl.DataFrame, dict[str, Hierarchy]]:
    adult = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    names = [name for name in adult.columns if name != "occupation"]
    return adult, {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in names}


@pytest.mark.parametrize(
    ("call", "least"),
    [
        ({"k": 5, "suppression_limit": 0.02}, {"k": 5}),
        ({"k": 5, "l_diversity": {"column": "occupation", "l": 4}}, {"k": 5, "l": 4}),
        ({"k": 2, "l_diversity": {"column": "occupation", "l": 4.6, "kind": "entropy"}}, {"k": 2, "entropy": 4}),
        ({"k": 5, "suppression_limit": 0, "t_closeness": {"column": "occupation", "t": 0.2}}, {"k": 5, "t": 0.2}),
    ],
)
@pytest.mark.parametrize("local", [False, True])
def test_pycanon_finds_what_was_asked_for(
    call: dict[str, Any], least: dict[str, float], local: bool, checker: Any, tmp_path: Path
) -> None:
    adult, hierarchies = _read()
    if local:
        wanted = {name: value for name, value in call.items() if name != "suppression_limit"}
        made = desensitize.recode_locally(adult, hierarchies, **wanted).frame
    else:
        made = desensitize.anonymize(adult, hierarchies, **call).frame
    assert isinstance(made, pl.DataFrame)
    made.write_csv(tmp_path / "made.csv")
    found = checker(tmp_path / "made.csv")
    assert all(found[name] >= value for name, value in least.items() if name != "t")
    # pycanon measures against the table that was released: with no row left out, that is the whole table.
    assert "t" not in least or found["t"] <= least["t"] + 1e-9
