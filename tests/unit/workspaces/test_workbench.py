"""The analyst's library: what it declares the airlock reads, and what it leaves the platform collects."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from workbench_kit import imported_workbench
from workspace_kit import ROOT

from sandbox.airlock.specification import TableSpecification, VerificationSpecification, encode, parse
from sandbox.workspaces.clean_room.outbox import OutputKind, collect


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The library as a clean room imports it: one release, an outbox, no platform."""
    release = tmp_path / "data" / "social_insurance"
    release.mkdir(parents=True)
    rows = {"who": ["a", "a", "b", "c"], "district": ["x", "x", "x", "y"], "base": [1, 2, 3, None]}
    pl.DataFrame(rows).write_parquet(release / "data.parquet")
    (tmp_path / "outbox").mkdir()
    monkeypatch.setenv("SHUZHA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SHUZHA_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.delenv("SHUZHA_PLATFORM_SOCKET", raising=False)
    with imported_workbench() as found:
        yield found


def test_table_is_a_specification_of_the_airlock(workbench: ModuleType) -> None:
    made = workbench.table(
        "social_insurance", rows=["district"],
        where=[("base", ">=", 1), ("who", "in", ["a", "b"]), ("who", "not_null")],
        value="base", aggregate="mean", repair="suppress",
    )  # fmt: skip
    read = parse(json.dumps(made.specification).encode())
    assert isinstance(read, TableSpecification)
    assert [one.op.value for one in read.where] == ["ge", "in", "not_null"]


def test_verification_is_a_specification_of_the_airlock(workbench: ModuleType) -> None:
    claim = workbench.claim("insured", "参保 insured", [("district", "==", "x")])
    made = workbench.verification("social_insurance", subject=["who"], claims=[claim])
    read = parse(json.dumps(made.specification).encode())
    assert isinstance(read, VerificationSpecification)
    assert read.claims[0].name == "insured"


def test_preview_counts_entities_rows_and_values(workbench: ModuleType) -> None:
    def preview(entity: str | None = None, **named: object) -> dict[str, float]:
        frame = workbench.table("social_insurance", rows=["district"], **named).preview(entity=entity)
        return dict(frame.rows())

    assert preview() == {"x": 3, "y": 1}
    assert preview(aggregate="entities", entity="who") == {"x": 2, "y": 1}
    assert preview(value="base", aggregate="sum") == {"x": 6, "y": 0}
    assert preview(where=[("base", ">", 1)]) == {"x": 2}


def test_export_leaves_what_the_platform_collects_in_order(workbench: ModuleType, tmp_path: Path) -> None:
    workbench.export("z_table", workbench.table("social_insurance", rows=["district"]), context="说明")
    workbench.export("a_frame", pl.DataFrame({"a": [1]}), context="by hand")
    workbench.export("z_table", workbench.table("social_insurance", rows=[]), context="again")
    found = collect(tmp_path / "outbox")
    assert found.problems == ()
    assert [(one.name, one.kind, one.media) for one in found.declared] == [
        ("z_table", OutputKind.TABLE, "application/json"), ("a_frame", OutputKind.FILE, "text/csv")
    ]  # fmt: skip
    assert found.declared[0].context == "again"
    assert found.declared[1].content == b"a\n1\n"
    assert workbench.submit("x.ipynb") is None, "a clean room submits nothing"


def test_library_says_what_it_would_accept(workbench: ModuleType) -> None:
    wrong = workbench.WorkbenchError
    with pytest.raises(wrong, match="granted: social_insurance"):
        workbench.load("residents")
    with pytest.raises(wrong, match="a-z, 0-9 and _"):
        workbench.export("../x", "text")
    with pytest.raises(wrong, match="accepted: a workbench table"):
        workbench.export("x", object())
    with pytest.raises(wrong, match="count, entities"):
        workbench.table("social_insurance", rows=[], aggregate="list")
    with pytest.raises(wrong, match="name the column"):
        workbench.table("social_insurance", rows=[], aggregate="sum")
    with pytest.raises(wrong, match="is_null"):
        workbench.table("social_insurance", rows=[], where=[("a", "~", 1)])
    with pytest.raises(wrong, match="no platform here"):
        workbench.status()
    columns = ["who", "district", "base"]
    assert workbench.datasets()[0] == {"name": "social_insurance", "kind": "release", "columns": columns}
    with pytest.raises(wrong, match="linear, logistic"):
        workbench.regression("social_insurance", "base ~ C(district)", model="probit")
    with pytest.raises(wrong, match="outcome ~ term"):
        workbench.regression("social_insurance", "base")
    for said in (
        {"kind": "pie"},
        {"kind": "histogram"},
        {"edges": [1, 2]},
        {"kind": "box"},
        {"columns": ["who", "base"]},
    ):
        with pytest.raises(wrong):
            workbench.plot("social_insurance", **({"rows": ["district"]} | said))


def test_library_says_what_the_platform_computes(workbench: ModuleType) -> None:
    made = [
        workbench.regression("social_insurance", "base ~ C(district)", errors="clustered", where=[("base", ">", 0)]),
        workbench.plot("social_insurance", rows=["district"]),
        workbench.plot("social_insurance", kind="histogram", value="base", edges=[0, 100, 200]),
        workbench.plot("social_insurance", kind="box", rows=["district"], value="base"),
        workbench.table(
            "social_insurance", rows=["district"], value="base", aggregate="p90", coding={"step": 10.0},
            merges=[{"column": "district", "labels": ["x", None], "into": "x + -"}],
        ),
        workbench.table("social_insurance", rows=["district"], repair="midpoint6"),
    ]  # fmt: skip
    for one in made:
        read = parse(json.dumps(one.specification).encode())
        assert encode(parse(encode(read))) == encode(read)
        if one.specification["kind"] != "regression":
            assert sys.modules["workbench.mending"].rebuild(one.specification) == one
    kinds = [workbench.export(f"one_{place}", one).kind for place, one in enumerate(made)]
    assert kinds == ["regression", "figure", "figure", "figure", "table", "table"]


def test_preview_shows_merged_labels_coded_values_bins_and_boxes(workbench: ModuleType) -> None:
    merged = workbench.table("social_insurance", rows=["district"], merges=[
        {"column": "district", "labels": ["x", "y"], "into": "x + y"}])  # fmt: skip
    assert merged.preview().rows() == [("x + y", 4)]
    coded = workbench.table(
        "social_insurance", rows=["district"], value="base", aggregate="max", coding={"top": 2.6, "step": 2.0}
    )  # fmt: skip
    assert coded.preview().rows() == [("x", 2.0), ("y", None)]
    bins = workbench.plot("social_insurance", kind="histogram", value="base", edges=[0, 2, 4])
    assert bins.preview().rows() == [("0 – 2", 1), ("2 – 4", 2)]
    box = workbench.plot("social_insurance", kind="box", value="base")
    assert box.preview().rows() == [(1.0, 2.0, 2.0, 3.0, 3.0)] or box.preview().height == 1
    for one in (bins, box, merged):
        assert one._repr_html_()
    assert {name: workbench.table("social_insurance", rows=[], value="base", aggregate=name).preview().item()
            for name in ("mode", "p05")} == {"mode": 1, "p05": 1.0}  # fmt: skip


def test_library_loads_an_own_file_beside_the_releases(workbench: ModuleType, tmp_path: Path) -> None:
    own = tmp_path / "data" / "own" / "branches"
    own.mkdir(parents=True)
    pl.DataFrame({"district": ["a"], "branches": [3]}).write_parquet(own / "data.parquet")
    assert workbench.load("branches").collect().rows() == [("a", 3)]
    kinds = {one["name"]: one["kind"] for one in workbench.datasets()}
    assert kinds == {"social_insurance": "release", "branches": "own"}
    with pytest.raises(workbench.WorkbenchError, match="branches, social_insurance"):
        workbench.load("own")


def test_library_says_in_a_clean_room_too_that_a_table_is_synthetic(workbench: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "social_insurance_synthetic"
    folder.mkdir(parents=True)
    pl.DataFrame({"district": ["a"]}).write_parquet(folder / "data.parquet")
    (folder / "certificate.json").write_text('{"kind": "shuzha synthetic release certificate"}', "utf-8")
    kinds = {one["name"]: one["kind"] for one in workbench.datasets()}
    assert kinds == {"social_insurance": "release", "social_insurance_synthetic": "synthetic"}


def test_library_imports_nothing_but_polars_and_the_standard_library() -> None:
    import ast

    allowed = set(sys.stdlib_module_names) | {"polars", "workbench"}
    for path in (ROOT / "notebooks" / "workbench" / "workbench").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path.name


SAID = {
    "rows": [
        {"district": "x", "estimate": 12.0, "low": 3.0, "high": 21.0},
        {"district": None, "estimate": 5.0, "low": -4.0, "high": 14.0},
    ],
    "columns": ["district", "estimate", "low", "high"], "epsilon": 0.1, "rho": 0.005, "delta": 1e-9, "repeated": False,
    "left": {"left_epsilon": 0.9},
}  # fmt: skip


@pytest.fixture
def asked(workbench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the library asks of a platform that always says the same."""
    found: list[dict[str, object]] = []

    def ask(verb: str, **fields: object) -> dict[str, object]:
        found.append({"verb": verb, **fields})
        return SAID

    monkeypatch.setattr(workbench.dp, "ask", ask)
    return found


def test_question_of_the_library_is_one_that_the_platform_reads(workbench: ModuleType, asked: list[Any]) -> None:
    from shuzha.budgets.questions import conditions_of, read_question, to_query

    dp = workbench.dp
    dp.count("e", by=["district"], where=[("base", ">=", 1), ("who", "not_null")], epsilon=0.1, delta=1e-9)
    dp.count("e", by=["day"], keys=[dt.date(2026, 1, 1), ("2026-01-02",)], rho=0.01, of="rows", rows=3)
    dp.sum("e", "base", lower=0, upper=10, each="entity", step=0.01, epsilon=0.1)
    dp.mean("e", "base", lower=0, upper=10, epsilon=0.1, by=["a", "b"], delta=1e-9, groups=4)
    dp.histogram("e", "base", edges=range(5), epsilon=0.1)
    dp.quantile("e", "base", 0.5, candidates=range(10), epsilon=0.1)
    queries = []
    for one in asked:
        assert (one["verb"], one["entry"]) == ("dp", "e")
        question = read_question(json.loads(json.dumps(one["query"])))
        conditions_of(question)
        queries.append(type(to_query(question, "who")).__name__)
    assert queries == ["Count", "Count", "Sum", "Mean", "Histogram", "Quantile"]
    with pytest.raises(TypeError, match="lower"):
        dp.sum("e", "base", epsilon=0.1)


def test_answer_shows_its_figures_interval_and_price(workbench: ModuleType, asked: list[Any]) -> None:
    answer = workbench.dp.count("e", by=["<b>"], epsilon=0.1, delta=1e-9)
    assert answer.frame["estimate"].to_list() == [12.0, 5.0]
    page = answer._repr_html_()
    assert page.count("<svg") == 2
    assert "epsilon 0.1, delta 1e-09" in page
    assert "left: epsilon 0.9" in repr(answer)
    assert answer["rows"][0]["low"] == 3.0


def test_clean_room_answers_no_noisy_question(workbench: ModuleType) -> None:
    with pytest.raises(workbench.WorkbenchError, match="no platform here"):
        workbench.dp.count("social_insurance", epsilon=0.1)
