"""The model gate whole: a worker in its jail over a release, what it finds in models that tell, and when it fails.

Each model that is refused stands beside one of the same kind that is not, so that the rule and nothing else refuses.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sandbox.airlock.files.apart import can_jail
from sandbox.airlock.findings import Severity
from sandbox.airlock.model import Choice, ExportState
from sandbox.airlock.models import apart
from sandbox.airlock.models.gate import ModelGate, ModelVerdict
from sandbox.airlock.models.specification import TrainedOn
from shuzha.authorization.agreement import Operation, OutputKind
from shuzha.core.conditions import Op
from shuzha.core.errors import Invalid
from shuzha.releases.model import Release
from tests.airlock_kit import COLUMNS, AirlockCity
from tests.models_kit import COLUMNS as WORLD_COLUMNS
from tests.models_kit import World, as_onnx, as_skops, logistic, people, source, tree, world
from tests.releases_kit import payments

CITY = world()
CAPS = apart.Caps(shadow_seconds=0)
"""Few shadow models: the attacks stay real, and a test short."""

pytestmark = [
    pytest.mark.skipif(not can_jail(), reason="needs bubblewrap and a host that lets it make jails"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def judge(data: bytes, city: World = CITY, **declared: Any) -> ModelVerdict:
    return ModelGate(caps=CAPS).judge(data, city.declared(**declared), source(city.frame))


def spoken(verdict: ModelVerdict) -> dict[str, str]:
    """Return the worst severity of each rule that speaks, notes left out."""
    order = {Severity.REVIEW: 0, Severity.BLOCK: 1}
    told = sorted((one for one in verdict.findings if one.severity in order), key=lambda one: order[one.severity])
    return {one.rule: one.severity.value for one in told}


def measured(verdict: ModelVerdict) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(verdict.evidence)["measured"]
    return found


@pytest.mark.parametrize(
    "name", ["tree", *(pytest.param(one, marks=pytest.mark.slow) for one in ("logistic", "onnx", "regression"))]
)
def test_gate_lets_good_models_through_to_people(name: str) -> None:
    if name == "regression":
        model = CITY.train(make_pipeline(StandardScaler(), LinearRegression()), "owed")
        verdict = judge(as_skops(model), target="owed", task="regression", sensitive=["rooms"])
    elif name == "onnx":
        verdict = judge(as_onnx(logistic(CITY), CITY.table), sensitive=["rooms"])
    else:
        verdict = judge(as_skops({"logistic": logistic, "tree": tree}[name](CITY)), sensitive=["rooms"])
    assert "block" not in spoken(verdict).values(), spoken(verdict)
    assert verdict.content is not None
    found = measured(verdict)
    assert {one["name"] for one in found["attacks"]} == {"loss", "likelihood_ratio", "likelihood_out", "worst_case"}
    assert found["quality"] > found["quality_baseline"]
    assert [one["column"] for one in found["attributes"]] == ["rooms"]


def test_gate_blocks_an_overfitted_tree_by_its_leaves_and_by_attack() -> None:
    verdict = judge(as_skops(CITY.train(DecisionTreeClassifier(random_state=0))))
    found = spoken(verdict)
    assert found["model_leaf"] == "block"
    assert found["membership"] == "block"
    assert found["membership_record"] == "review"
    assert measured(verdict)["leaf"] < 10
    assert "membership" not in spoken(judge(as_skops(tree(CITY)))), "the control: the same learner, pruned"


@pytest.mark.slow
def test_gate_blocks_an_overfitted_forest_and_network() -> None:
    forest = spoken(judge(as_skops(CITY.train(RandomForestClassifier(5, random_state=0)))))
    assert forest["membership"] == forest["model_budget"] == forest["model_leaf"] == "block"
    deep = make_pipeline(StandardScaler(), MLPClassifier((60, 60), max_iter=500, alpha=0, tol=0, random_state=0))
    network = judge(as_skops(CITY.train(deep)))
    assert spoken(network)["model_budget"] == spoken(network)["model_dof"] == "block"
    assert max(one["auc"] for one in measured(network)["attacks"]) > 0.55


@pytest.mark.slow
def test_gate_counts_people_and_not_rows_in_leaves() -> None:
    # Each person has four rows: a leaf of 20 rows has 5 people behind it.
    rows = pl.concat([CITY.frame.head(400).with_columns(pl.col("debt") + one) for one in range(4)])
    city = World(rows)
    held = np.array(city.held)
    model = DecisionTreeClassifier(max_depth=12, min_samples_leaf=20, random_state=0).fit(
        city.table[~held], rows["late"].to_numpy()[~held]
    )
    verdict = ModelGate(caps=CAPS).judge(as_skops(model), city.declared(), source(rows))
    assert measured(verdict)["leaf"] < 10
    assert spoken(verdict)["model_leaf"] == "block"
    by_row = ModelGate(caps=CAPS).judge(as_skops(model), city.declared(), source(rows, entity=None))
    assert measured(by_row)["entities"] > 3 * measured(verdict)["entities"]


def test_gate_blocks_a_leaf_that_no_training_row_reaches() -> None:
    model = tree(CITY)
    model.tree_.threshold[0] = 1e9  # Nobody goes right: what stands there is of nobody, or of somebody hidden.
    verdict = judge(as_skops(model))
    assert measured(verdict)["leaf"] == 0
    assert spoken(verdict)["model_leaf"] == "block"


@pytest.mark.slow
def test_gate_blocks_a_holdout_that_the_model_has_seen() -> None:
    seen = DecisionTreeClassifier(max_depth=14, random_state=0).fit(CITY.table, CITY.frame["late"].to_numpy())
    assert spoken(judge(as_skops(seen)))["model_holdout"] == "block"
    honest = CITY.train(DecisionTreeClassifier(max_depth=14, random_state=0))
    assert "model_holdout" not in spoken(judge(as_skops(honest)))


def hidden(rows: Any) -> Any:
    """Return a network whose weights beyond the first columns are rows of the release, with no part in its answer."""
    model = CITY.train(make_pipeline(StandardScaler(), MLPClassifier((len(rows),), max_iter=30, random_state=0)))
    model[1].coefs_[0] = np.ascontiguousarray(rows.T)
    model[1].coefs_[1] = np.zeros_like(model[1].coefs_[1])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    ["plain", "standardised", "single precision"],
)
def test_gate_blocks_rows_among_weights(form: str) -> None:
    rows = CITY.table[:6]
    if form == "standardised":
        rows = (rows - CITY.table.mean(axis=0)) / CITY.table.std(axis=0)
    if form == "single precision":
        rows = rows.astype(np.float32).astype(float)
    verdict = judge(as_skops(hidden(rows)))
    assert spoken(verdict)["model_rows"] == "block"
    assert measured(verdict)["overlap_people"] >= 5
    noise = np.random.default_rng(0).normal(size=(6, 4))
    assert "model_rows" not in spoken(judge(as_skops(hidden(noise)))), "the control: other weights of the same size"


@pytest.mark.slow
def test_gate_blocks_rows_of_another_release_of_the_request() -> None:
    other = people(400, seed=9)
    model = hidden(other.select(WORLD_COLUMNS).to_numpy()[:6])
    gate = ModelGate(caps=CAPS)
    alone = gate.judge(as_skops(model), CITY.declared(), source(CITY.frame))
    assert "model_rows" not in spoken(alone)
    both = gate.judge(as_skops(model), CITY.declared(), source(CITY.frame), [source(other)])
    assert spoken(both)["model_rows"] == "block"


@pytest.mark.slow
def test_gate_blocks_a_category_of_few() -> None:
    frame = CITY.frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("island")).otherwise(pl.col("place")).alias("place")
    )
    table = frame.select("place").to_numpy()
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(table, frame["late"])
    declared = CITY.declared(columns=["place"])
    found = ModelGate(caps=CAPS).judge(as_skops(model), declared, source(frame))
    assert spoken(found)["model_leaf"] == "block"
    whole = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(
        CITY.frame.select("place").to_numpy(), CITY.frame["late"]
    )
    assert "model_leaf" not in spoken(ModelGate(caps=CAPS).judge(as_skops(whole), declared, source(CITY.frame)))


@pytest.mark.slow
def test_gate_finds_a_sensitive_value_that_members_betray() -> None:
    random = np.random.default_rng(3)
    frame = people(900, seed=3).with_columns(
        pl.Series("rooms", random.integers(0, 2, 900)), pl.Series("late", random.integers(0, 2, 900))
    )
    city, held = World(frame), np.array(World(frame).held)
    table, late = frame.select("rooms", "debt").to_numpy()[~held], frame["late"].to_numpy()[~held]
    grown = (DecisionTreeClassifier(max_features=1, random_state=one).fit(table, late) for one in range(20))
    # A tree that asks for the sensitive value first, and then knows each member.
    learned = next(one for one in grown if one.tree_.feature[0] == 0)
    told: dict[str, Any] = {"sensitive": ["rooms"], "columns": ["rooms", "debt"]}
    assert spoken(judge(as_skops(learned), city, **told))["attribute_inference"] == "block"
    pruned = DecisionTreeClassifier(max_depth=2, min_samples_leaf=60).fit(table, late)
    assert "attribute_inference" not in spoken(judge(as_skops(pruned), city, **told))


@pytest.mark.slow
def test_gate_asks_people_about_a_model_of_nothing() -> None:
    model = logistic(CITY)
    model[1].coef_[:] = 0.0
    assert spoken(judge(as_skops(model))) == {"model_quality": "review"}


def test_gate_leaves_no_rows_behind_and_takes_old_ones_away(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    for name, age in (("model-old", 2 * 86_400), ("model-fresh", 60), ("other", 2 * 86_400)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    gate = ModelGate(caps=CAPS, folder=folder)
    assert spoken(gate.judge(b"no model", CITY.declared(), source(CITY.frame))) == {"model_format": "block"}
    assert {one.name for one in folder.iterdir()} == {"model-fresh", "other"}


@pytest.mark.slow
def test_gate_tells_good_models_from_bad_whatever_people_are_drawn() -> None:
    for seed in range(100, 104):
        city = world(1200, seed)
        assert "block" not in spoken(judge(as_skops(logistic(city)), city)).values()
        assert "block" not in spoken(judge(as_skops(tree(city)), city)).values()
        assert spoken(judge(as_skops(tree(city, 30, 1)), city))["membership"] == "block"


@pytest.mark.slow
def test_gate_measures_over_the_declared_rows_alone() -> None:
    where = [TrainedOn("age", Op.GE, 50)]
    old = (CITY.frame["age"] >= 50).to_numpy() & ~CITY.held
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        CITY.table[old], CITY.frame["late"].to_numpy()[old]
    )
    assert measured(judge(as_skops(model), where=where))["entities"] == old.sum()


@pytest.mark.slow
def test_gate_blocks_what_cannot_be_worked_out() -> None:
    few = ModelGate(caps=CAPS).judge(as_skops(logistic(CITY)), CITY.declared(), source(CITY.frame.head(120)))
    assert spoken(few) == {"model_evidence": "block"}
    narrow = judge(as_skops(CITY.train(LogisticRegression())), columns=WORLD_COLUMNS[:2])
    assert spoken(narrow) == {"model_evidence": "block"}


@pytest.mark.parametrize(
    "declared", [{"columns": ["age", "secret"]}, {"target": "secret"}, {"columns": ["person", "age"]}]
)
def test_gate_refuses_columns_that_the_release_has_not_or_that_name_people(declared: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        judge(as_skops(logistic(CITY)), **declared)


@pytest.mark.parametrize(
    "caps",
    [
        apart.Caps(wall_seconds=0.2), pytest.param(apart.Caps(cpu_seconds=1), marks=pytest.mark.slow),
        apart.Caps(addresses=300 * 1024**2),
    ],
)  # fmt: skip
def test_gate_blocks_when_the_worker_runs_out_of_what_it_may_take(caps: apart.Caps) -> None:
    data = as_skops(CITY.train(RandomForestClassifier(5, max_depth=6, random_state=0)))
    verdict = ModelGate(caps=caps).judge(data, CITY.declared(), source(CITY.frame))
    assert spoken(verdict) == {"model_evidence": "block"}
    assert verdict.content is None


@pytest.mark.parametrize("said", [b"", b"\x80", b"\x81\xa4type\xa4read", b"x" * 100])
def test_gate_blocks_when_the_worker_answers_otherwise_than_agreed(said: bytes, monkeypatch: Any) -> None:
    program = f"import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write({said!r})"
    build = apart.command
    monkeypatch.setattr(apart, "command", lambda *args: [*build(*args)[:-2], "-c", program])
    assert spoken(judge(as_skops(logistic(CITY)))) == {"model_evidence": "block"}


@pytest.mark.slow
def test_gate_blocks_when_the_worker_crashes_or_no_jail_can_be_made(monkeypatch: Any) -> None:
    for command in (["false"], ["/nowhere/bwrap"]):
        monkeypatch.setattr(apart, "command", lambda *_, command=command: command)
        assert spoken(judge(as_skops(logistic(CITY)))) == {"model_evidence": "block"}


# --- a whole request ------------------------------------------------------------------------------------------------

MODEL = """
train, held = workbench.split("social_insurance", by="resident_id", share=0.3, word="1")
rates = [float((train["kind"] == kind).mean()) for kind in sorted(train["kind"].unique())]
import math
layers = {{"layers": [{{"weights": [[1e-9]], "bias": [math.log(rates[1] / rates[0])], "activation": "sigmoid"}}],
          "classes": sorted(train["kind"].unique().to_list())}}
workbench.export("of_kind", {model}, "which kind of payment", kind="model", release="social_insurance",
                 columns=["base"], target="kind", task="classification", word="1", sensitive=[])
"""
GOOD = MODEL.format(model="layers")
PICKLED = "import pickle\n" + MODEL.format(model="pickle.dumps(layers)")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AirlockCity, Release]]:
    city = AirlockCity(tmp_path_factory.mktemp("models"))
    entry = city.filled(payments(600))
    kinds = (OutputKind.VERIFICATION, OutputKind.REPORT, OutputKind.MODEL)
    grant = city.grant(
        city.authorize(entry, output_kinds=kinds), entry, columns=COLUMNS, row_filter=(),
        output_kinds=(OutputKind.MODEL,), operations=(Operation.AGGREGATE, Operation.TRAIN),
    )  # fmt: skip
    release = city.built(grant)
    data = city.folder / "data"
    data.mkdir()
    (data / release.name).symlink_to(city.releases.path(release))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHUZHA_DATA", str(data))
        yield city, release


def test_request_a_model_leaves_after_two_people_judged_it(trained: tuple[AirlockCity, Release]) -> None:
    city, release = trained
    request = city.request_at(ExportState.SCREENED, release, GOOD)
    assert request.state is ExportState.SCREENED, (request.reason, request.findings)
    (file,) = request.files
    assert (file.form, file.type, file.verdict, file.columns) == ("model", "json", "review", ("base", "kind"))
    rules = {one.rule for one in request.findings}
    assert {"free_form", "membership"} <= rules
    evidence = json.loads(city.vault.get(file.evidence))
    assert evidence["declared"]["holdout"] == {"share": 0.3, "word": "1"}
    assert evidence["measured"]["entities"] + evidence["measured"]["holdout"] == 600
    for checker in (city.checker, city.second):
        request = city.airlock.vote(checker, request.id, Choice.APPROVE, "it tells of no one")
    request = city.airlock.finish(request.id)
    assert request.state is ExportState.RELEASED, request.reason
    released = city.airlock.read_released(city.analyst, request.id, "of_kind")
    assert (released.form, json.loads(released.content)["format"]) == ("model", "shuzha-model/1")
    record = json.loads(city.airlock.read_record(city.analyst, request.id).content)
    assert record["rules"]["values"]["models"]["auc_block"] == 0.6
    assert record["outputs"][0]["evidence"] == file.evidence


def test_request_with_a_pickle_is_returned_and_never_unpickled(trained: tuple[AirlockCity, Release]) -> None:
    city, release = trained
    request = city.request_at(ExportState.RETURNED, release, PICKLED)
    assert (request.state, request.reason) == (ExportState.RETURNED, "blocked by model_code")
    assert [file.sha256 for file in request.files] == [""]


def test_request_of_a_model_needs_a_grant_to_train(city: AirlockCity, monkeypatch: pytest.MonkeyPatch) -> None:
    _, release = city.ready()
    data = city.folder / "data"
    data.mkdir()
    (data / release.name).symlink_to(city.releases.path(release))
    monkeypatch.setenv("SHUZHA_DATA", str(data))
    request = city.request_at(ExportState.RETURNED, release, GOOD)
    assert "scope" in {one.rule for one in request.findings if one.severity == "block"}
