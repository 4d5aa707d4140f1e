"""Whatever goes wrong while an output is judged: over each kind of output it blocks or asks people, and never passes.

A row of the matrix is a fault, a column a kind of output. Each kind is judged without the fault as well, in the same
way, so a row that would block anything shows nothing.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from fail_closed_kit import CSV, SPECIFICATIONS, TABLE, BrokenInputs, GivenInputs, a_request, declare, vault

from sandbox.airlock import claims, computed, content, screening
from sandbox.airlock.files.kinds import Limits
from sandbox.airlock.inputs import Inputs
from sandbox.airlock.models.apart import Caps, WorkerFailed
from sandbox.airlock.models.evidence import Answer, Attack, Evidence, Refusal
from sandbox.airlock.models.gate import ModelGate
from sandbox.airlock.models.inside import worker
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Judged, Screener
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind
from shuzha.core.errors import Invalid

MEASURED = Evidence(
    entities=160, holdout=80, cells=480, free=2, numbers=2, texts=("p", "q"), leaf=None, leaves=0, thin_leaves=0,
    trees=0, category=None, thin_categories=0, class_least=80, extremes=0, overlap_people=0, overlap_share=0.0,
    attacks=(Attack("loss", 0.5, 0.45, 0.55, 0.01, 0.005, None, 160, 80),), shadows=8, exposed=0, exposed_wrongly=0,
    holdout_gain=0.0, holdout_error=0.0, attributes=(), quality=0.8, quality_baseline=0.6,
)  # fmt: skip


@dataclass
class Reader:
    """Reads a model here and says that it was measured: what the gate makes of its worker's answer is the question."""

    evidence: Evidence | None = MEASURED
    failed: str = ""

    def __call__(self, data: bytes, specification: Any, table: Path | None, **_: Any) -> Answer | Refusal:
        answer = worker.work(worker.Order(specification, "", len(data), 10, 1.0, 0, 0), data)
        return replace_answer(answer, self.evidence, self.failed)


def replace_answer(answer: Answer | Refusal, evidence: Evidence | None, failed: str) -> Answer | Refusal:
    if isinstance(answer, Refusal):
        return answer
    return msgspec.structs.replace(answer, evidence=evidence, failed=failed)


def no_answer(reason: str) -> Callable[..., Answer]:
    def fail(*_: Any, **__: Any) -> Answer:
        raise WorkerFailed(reason)

    return fail


@dataclass
class Bench:
    """What judges one output: each part may be exchanged for one that is broken."""

    folder: Path
    inputs: Inputs = field(default_factory=GivenInputs)
    reader: Callable[..., Answer | Refusal] = field(default_factory=Reader)
    limits: Limits = field(default_factory=Limits)

    def judge(self, declared: Declared) -> Judged:
        gate = ModelGate(worker=self.reader, folder=self.folder / "models")
        screener = Screener(self.inputs, vault(self.folder), Rules(), self.limits, models=gate)
        return screener.judge(a_request(), declared, lambda *_: None)


KINDS = ("table", "figure", "regression", "verification", "model", "file")
CLAIMS = {
    "kind": "verification", "entry": "incomes", "subject": ["person"],
    "claims": [{"name": "p", "title": "p", "where": [{"column": "kind", "op": "eq", "value": "p"}]}],
}  # fmt: skip
GOOD = {
    "table": "pass", "figure": "pass", "regression": "pass", "verification": "pass", "model": "review",
    "file": "review",
}  # fmt: skip


def made(kind: str, data: bytes | None = None, **changes: Any) -> Declared:
    if kind == "verification":
        said = json.dumps(CLAIMS | changes).encode()
        return Declared("out", OutputKind.VERIFICATION, "", said, data, "application/json")
    return declare(kind, data, **changes)


def rules_of(judged: Judged) -> set[str]:
    return {one.rule for one in judged.findings if one.severity == "block"}


def refused(bench: Bench, declared: Declared, rule: str) -> None:
    """The output is blocked by this rule, and nothing is kept that could leave."""
    judged = bench.judge(declared)
    assert judged.file.verdict == "block", judged.findings
    assert rule in rules_of(judged)


APART = content.inspect_apart


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """What judges, with files read in this process: their own process has its own test below."""
    monkeypatch.setattr(content, "inspect_apart", content.inspect)
    return Bench(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_fault_each_kind_passes_or_goes_to_people(bench: Bench, kind: str) -> None:
    judged = bench.judge(made(kind))
    assert (judged.file.verdict, rules_of(judged)) == (GOOD[kind], set())
    assert judged.file.sha256


UNKNOWN: dict[str, list[Declared]] = {
    "table": [made("table", aggregate="kurtosis", value="income"), made("table", aggregate=None)],
    "figure": [
        made("figure", draw="violin"), made("figure", table=TABLE | {"aggregate": "kurtosis", "value": "income"}),
    ],
    "regression": [made("regression", model="poisson"), made("regression", errors="none")],
    "verification": [made("verification", claims=[CLAIMS["claims"][0] | {"aggregate": "share"}])],  # type: ignore[index, operator]
    "model": [made("model", task="ranking"), made("model", thresholds={"auc": 1})],
    "file": [made("file", b"\x89HDF\r\n\x1a\n" + bytes(64))],
}  # fmt: skip
LAMBDA = "lambda values: values.to_list()"
PLAN = '{"Select": {"expr": [{"Agg": {"Sum": {"Column": "income"}}}], "input": {"DataFrameScan": {}}}}'


class Harmful:
    """Loading it would raise: nobody does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 / 0",)


FUNCTIONS: dict[str, list[Declared]] = {
    "table": [
        made("table", aggregate=LAMBDA, value="income"), made("table", aggregate={"function": LAMBDA}, value="income"),
        made("table", plan=PLAN), made("table", where=[{"column": "place", "op": "eq", "value": {"$eval": "1"}}]),
    ],
    "figure": [made("figure", table=TABLE | {"aggregate": LAMBDA, "value": "income"}), made("figure", code=LAMBDA)],
    "regression": [
        made("regression", formula=formula)
        for formula in ("income ~ np.exp(person)", "income ~ I(person ** 2)", "income ~ __import__('os').name")
    ],
    "verification": [made("verification", claims=[{"name": "p", "title": "p", "where": LAMBDA}])],
    "model": [made("model", pickle.dumps(Harmful(), protocol)) for protocol in (0, 2, 5)],
    "file": [made("file", pickle.dumps(Harmful(), protocol)) for protocol in (0, 2, 5)],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_rule_knows_blocks(bench: Bench, kind: str) -> None:
    rule = "file_type" if kind == "file" else "specification"
    for declared in UNKNOWN[kind]:
        refused(bench, declared, rule)


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_the_analysts_own_blocks_and_is_not_run(bench: Bench, kind: str) -> None:
    rule = {"model": "model_code", "file": "file_type"}.get(kind, "specification")
    for declared in FUNCTIONS[kind]:
        refused(bench, declared, rule)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unreadable_specification_or_file_blocks(bench: Bench, kind: str) -> None:
    broken = [b"", b"\x00\xff\xfe", b'{"kind": "table"', b"[" * 5_000]
    if kind == "file":
        for data in broken[:2]:
            refused(bench, made("file", data), "file_type")
        assert bench.judge(made("file", broken[2])).file.verdict == "review", "half of a JSON is a text: people read it"
    for data in [] if kind == "file" else broken:
        one = Declared("out", OutputKind(kind), "", data, None if kind != "model" else b"{}", "application/json")
        assert bench.judge(one).file.verdict == "block"
    if kind == "model":
        for data in broken[1:]:
            refused(bench, made("model", data), "model_format")


@pytest.mark.parametrize("kind", ["table", "figure", "regression"])
def test_unreadable_bytes_beside_what_the_platform_computes_ask_people(bench: Bench, kind: str) -> None:
    for data in (b"", b"\xff\xfe\x00", b"a\n" + b'"' * 7):
        judged = bench.judge(made(kind, data))
        assert (judged.file.verdict, {one.rule for one in judged.findings}) == ("review", {"kernel_differs"})


@pytest.mark.parametrize("data", [b"", b"PAR1 no table PAR1"])
@pytest.mark.parametrize("kind", KINDS)
def test_data_that_cannot_be_read_blocks(bench: Bench, tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(data)
    bench.inputs = GivenInputs(frame=pl.scan_parquet(path))
    refused(bench, made(kind), "checker_failed")


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_the_platform_refuses_to_read_blocks(bench: Bench, kind: str) -> None:
    class Refusing(BrokenInputs):
        def release(self, release_id: str) -> Any:
            raise Invalid("the release is not whole", rule="export.release")

        entry = release

    bench.inputs = Refusing()
    refused(bench, made(kind), "specification")


@pytest.mark.parametrize("kind", KINDS)
def test_a_checker_that_crashes_blocks(bench: Bench, kind: str) -> None:
    bench.inputs = BrokenInputs()
    judged = bench.judge(made(kind))
    assert (judged.file.verdict, rules_of(judged), judged.file.sha256) == ("block", {"checker_failed"}, "")


PARTS = {
    "table": (screening, "compute"), "figure": (computed, "draw"), "regression": (computed, "judge_regression"),
    "verification": (claims, "check_claims"), "file": (screening, "check_overlap"),
}  # fmt: skip


@pytest.mark.parametrize(
    "fault", [MemoryError, RecursionError, TimeoutError, AssertionError, pl.exceptions.PolarsError]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_the_checker_that_fails_blocks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, fault: type[Exception]
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise fault("of the checker's own")

    if kind == "model":
        bench.reader = fail
    else:
        monkeypatch.setattr(*PARTS[kind], fail)
    judged = bench.judge(made(kind))
    assert (judged.file.verdict, rules_of(judged), judged.file.sha256) == ("block", {"checker_failed"}, "")


def test_a_file_or_a_model_that_is_not_read_in_time_blocks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for reason in ("it took too long", "it ended without an answer", "no jail can be made for it"):
        bench.reader = no_answer(reason)
        refused(bench, made("model"), "model_evidence")
    bench.limits = Limits(seconds=0.0)
    refused(bench, made("file"), "checker_failed")
    bench.limits = Limits()
    hurried = content.Caps(wall_seconds=0.01)
    monkeypatch.setattr(content, "inspect_apart", lambda data, limits: APART(data, limits, hurried))
    refused(bench, made("file"), "checker_failed")


@pytest.mark.parametrize("kind", ["table", "figure", "regression", "verification", "model"])
def test_without_the_entity_key_blocks(bench: Bench, kind: str) -> None:
    bench.inputs = GivenInputs(entity=None, entity_missing=True)
    refused(bench, made(kind), "min_count")


@pytest.mark.parametrize("kind", ["table", "figure", "regression", "verification"])
def test_without_a_memory_of_what_left_before_blocks(tmp_path: Path, kind: str) -> None:
    screener = Screener(GivenInputs(), vault(tmp_path), Rules())
    (judged,) = screener.judge_all(a_request(), [made(kind)], lambda *_: None)
    assert (judged.file.verdict, rules_of(judged)) == ("block", {"checker_failed"})


def test_without_evidence_models_and_files_block(bench: Bench) -> None:
    for reader in (Reader(None, "a step cannot be done"), Reader(msgspec.structs.replace(MEASURED, attacks=()))):
        bench.reader = reader
        refused(bench, made("model"), "model_evidence")
    bench.reader = Reader()
    refused(bench, made("model", sensitive=["income"]), "model_evidence")
    bare = Declared("out", OutputKind.MODEL, "", json.dumps(SPECIFICATIONS["model"]).encode(), None, "")
    refused(bench, bare, "specification")
    refused(bench, replace(made("file"), content=None), "file_type")


def test_no_kind_passes_without_its_specification(bench: Bench) -> None:
    """What has none is free-form: people judge it, and a picture blocks."""
    for kind in ("table", "figure", "regression", "verification", "model"):
        bare = Declared("out", OutputKind(kind), "", None, CSV, "text/csv")
        judged = bench.judge(bare)
        assert (judged.file.verdict, "free_form" in {one.rule for one in judged.findings}) == ("review", True)


def test_a_specification_of_one_kind_does_not_stand_for_another(bench: Bench) -> None:
    said = {kind: made(kind).specification for kind in KINDS if kind != "file"}
    for kind in said:
        for other, specification in said.items():
            if other != kind:
                one = Declared("out", OutputKind(kind), "", specification, b"{}", "application/json")
                assert bench.judge(one).file.verdict == "block", (kind, other)


@pytest.mark.slow
def test_a_worker_without_time_gives_no_answer(bench: Bench, tmp_path: Path) -> None:
    """The real worker of models, in its jail, with a twentieth of a second."""
    gate = ModelGate(caps=Caps(wall_seconds=0.05), folder=tmp_path / "models")
    screener = Screener(GivenInputs(), vault(tmp_path), Rules(), models=gate)
    judged = screener.judge(a_request(), made("model"), lambda *_: None)
    assert (judged.file.verdict, rules_of(judged)) == ("block", {"model_evidence"})


def test_a_table_that_its_writer_cut_off_is_not_read_as_a_shorter_one(bench: Bench) -> None:
    buffer = io.BytesIO()
    pl.read_csv(CSV).write_parquet(buffer)
    refused(bench, made("file", buffer.getvalue()[:-9]), "file_type")
    refused(bench, made("file", CSV[:-4] + b'"'), "file_type")
