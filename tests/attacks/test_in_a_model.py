"""What is hidden in a model, or shows through it: each file is tried at the model gate as an analyst would submit it.

The control takes away the rule that refused, and what was hidden is read out of what would then leave; where a reader
refuses, the format's own library reads it out of the file.
"""

from __future__ import annotations

import io
import json
import pickle
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import models_kit
import numpy as np
import onnx
import polars as pl
import pytest
import safetensors.numpy
import skops.io
from models_kit import World, as_onnx, as_skops, changed_onnx, logistic, source, tree, world
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sandbox.airlock.files.apart import can_jail
from sandbox.airlock.findings import Severity
from sandbox.airlock.grammar import Condition
from sandbox.airlock.models import apart, judging
from sandbox.airlock.models.gate import ModelGate, ModelVerdict
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.models.specification import Layer
from shuzha.core.conditions import Op

pytestmark = pytest.mark.skipif(not can_jail(), reason="needs bubblewrap and a host that lets it make jails")
CITY = world()
OPEN = ModelRules(
    leaf_entities=1, min_dof=-(10**9), number_share=1e9, bytes_beside=10**9, auc_review=1.0, auc_block=1.0,
    tpr_review=1.0, tpr_block=1.0, overlap_people=10**9, holdout_gain=1e9,
)  # fmt: skip
"""No limit of the gate binds: what is left of it is that it reads what it releases."""


def judge(data: bytes, rules: ModelRules | None = None, city: World = CITY, **declared: Any) -> ModelVerdict:
    gate = ModelGate(rules, apart.Caps(shadow_seconds=0))
    return gate.judge(data, city.declared(**declared), source(city.frame))


def blocked(verdict: ModelVerdict) -> set[str]:
    return {one.rule for one in verdict.findings if one.severity is Severity.BLOCK}


def given_back(data: bytes) -> Any:
    """Return what whoever gets a skops file loads from it."""
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def rows_of(found: Any) -> int:
    """Return of how many people the numbers hold a row of the release, digit for digit."""
    kept = {tuple(one) for one in np.round(np.asarray(found, dtype=float), 6).tolist()}
    return sum(tuple(one) in kept for one in np.round(CITY.table, 6).tolist())


@pytest.mark.attack(
    what="training rows kept by a nearest-neighbour or support-vector model inside a pipeline and a vote",
    route="a declared model", layer="model gate",
    control="skops loads the same file, and the rows come out of it",
)  # fmt: skip
@pytest.mark.parametrize("inner", [KNeighborsClassifier(), SVC(C=0.01, probability=True)])
def test_rows_stored_in_nested_estimators_do_not_leave(inner: Any) -> None:
    model = CITY.train(VotingClassifier([("a", make_pipeline("passthrough", inner))], voting="soft"))
    verdict = judge(as_skops(model), OPEN)
    assert blocked(verdict) == {"model_stores_rows"}
    assert verdict.content is None
    held = given_back(as_skops(model)).estimators_[0][1]
    assert rows_of(held._fit_X if hasattr(held, "_fit_X") else held.support_vectors_) > 100


@pytest.mark.attack(
    what="training rows in an attribute that an estimator has not, and in one that it has",
    route="a declared model", layer="model gate",
    control="skops loads the same file, and the rows come out of it",
)  # fmt: skip
@pytest.mark.parametrize("name", ["notes_", "n_features_in_", "random_state"])
def test_rows_in_attributes_of_nested_estimators_do_not_leave(name: str) -> None:
    model = logistic(CITY)
    setattr(model[1], name, CITY.table)
    verdict = judge(as_skops(model), OPEN)
    assert blocked(verdict) == {"model_extra"}
    assert verdict.content is None
    assert rows_of(getattr(given_back(as_skops(model))[1], name)) == CITY.frame.height


@pytest.mark.attack(
    what="training rows among the weights of a network, plain, with no part in its answer",
    route="a declared model", layer="model gate",
    control="without the rule of rows the same file would leave, and they are read out of what leaves",
)  # fmt: skip
@pytest.mark.slow
def test_rows_among_weights_do_not_leave() -> None:
    model = CITY.train(make_pipeline(StandardScaler(), MLPClassifier((6,), max_iter=10, random_state=0)))
    model[1].coefs_[0], model[1].coefs_[1] = CITY.table[:6].T.copy(), np.zeros((6, 1))
    assert blocked(judge(as_skops(model))) == {"model_rows"}
    passed = judge(as_skops(model), replace(ModelRules(), overlap_people=10**9))
    assert blocked(passed) == set()
    assert passed.content is not None
    assert rows_of(given_back(passed.content)[1].coefs_[0].T) == 6


def network(rows: Any) -> tuple[bytes, dict[str, Any]]:
    """Return a network whose first layer is these rows, and what is declared of it."""
    tensors = {"a": np.asarray(rows, np.float32).T.copy(), "b": np.zeros((len(rows), 1), np.float32)}
    layers = [Layer("a", "", "relu", "inputs"), Layer("b", "", "sigmoid", "inputs")]
    return safetensors.numpy.save(tensors), {"architecture": layers, "classes": ["0", "1"]}


@pytest.mark.attack(
    what="rows beside those that the model is said to be trained on, and a column of values where rows have but two",
    route="a declared model", layer="model gate",
    control="without the rule of rows the same file would leave, and they are read out of what leaves",
)  # fmt: skip
@pytest.mark.slow
def test_rows_that_the_model_is_not_said_to_be_of_do_not_leave() -> None:
    beside = Condition("age", Op.LT, 60)
    old = CITY.frame.filter(pl.col("age") >= 60).select(models_kit.COLUMNS).head(6).to_numpy()
    narrow = World(CITY.frame.select("person", "income", "place", pl.col("late").cast(pl.Boolean)))
    values = narrow.frame.select("income").head(12).to_numpy()
    for city, held, declared in (
        (CITY, old, {"where": [beside]}),
        (narrow, values, {"columns": ["income"]}),
    ):
        data, told = network(held)
        told |= declared
        assert blocked(judge(data, city=city, **told)) == {"model_rows"}
        passed = judge(data, replace(ModelRules(), overlap_people=10**9), city, **told)
        assert blocked(passed) == set()
        assert passed.content is not None
        assert np.array_equal(safetensors.numpy.load(passed.content)["a"].T, held.astype(np.float32))


@pytest.mark.attack(
    what="a whole table in a network that is larger than its task",
    route="a declared model", layer="model gate",
    control="without the budget the same file would leave, and the table is in what leaves",
)  # fmt: skip
@pytest.mark.slow
def test_a_table_in_a_large_network_does_not_leave() -> None:
    random = np.random.default_rng(0)
    shape = (4, 300)
    secret = random.integers(0, 2**20, shape) / 2**20  # Not the release's numbers: any message.
    tensors = {"a": secret.astype(np.float32), "b": np.zeros((300, 1), np.float32)}
    layers = [Layer("a", "", "relu", "inputs"), Layer("b", "", "sigmoid", "inputs")]
    told: dict[str, Any] = {"architecture": layers, "classes": ["0", "1"]}
    data = safetensors.numpy.save(tensors)
    assert {"model_budget", "model_dof"} <= blocked(judge(data, **told))
    passed = judge(data, replace(ModelRules(), number_share=1e9, min_dof=-(10**9)), **told)
    assert blocked(passed) == set()
    assert passed.content is not None
    assert np.array_equal(safetensors.numpy.load(passed.content)["a"], secret.astype(np.float32))


@pytest.mark.attack(
    what="who was trained on, from the answers of a tree that learned each of them by heart",
    route="a declared model", layer="model gate",
    control="without the rules of leaves and attacks it would leave, and its answers tell members from others",
)  # fmt: skip
@pytest.mark.slow
def test_an_overfitted_tree_does_not_leave() -> None:
    model = CITY.train(DecisionTreeClassifier(random_state=0))
    assert {"model_leaf", "membership"} <= blocked(judge(as_skops(model)))
    passed = judge(as_skops(model), OPEN)
    assert passed.content is not None
    told = given_back(passed.content).predict_proba(CITY.table)[np.arange(1200), CITY.frame["late"].to_numpy()]
    assert roc_auc_score(~CITY.held, told) > 0.6


@pytest.mark.attack(
    what="overfitting covered up by training on those who are said to be held out",
    route="a declared model", layer="model gate",
    control="the attacks find nothing in the same model, which would leave without the rule of the holdout",
)  # fmt: skip
@pytest.mark.slow
def test_a_holdout_that_was_trained_on_does_not_help() -> None:
    model = DecisionTreeClassifier(max_depth=14, random_state=0).fit(CITY.table, CITY.frame["late"].to_numpy())
    found = blocked(judge(as_skops(model)))
    assert "model_holdout" in found
    assert "membership" not in found
    loose = replace(ModelRules(), holdout_gain=1e9, leaf_entities=1, number_share=1e9)
    assert "model_holdout" not in blocked(judge(as_skops(model), loose))


@pytest.mark.attack(
    what="a hidden leaf that no training row reaches, with a message for a threshold and a value",
    route="a declared model", layer="model gate",
    control="without the rule of leaves it would leave, and the message is in what leaves",
)  # fmt: skip
@pytest.mark.slow
def test_a_message_in_a_leaf_of_nobody_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tree(CITY, depth=2)
    model.tree_.threshold[0] = 20_260_207.0
    assert "model_leaf" in blocked(judge(as_skops(model)))
    monkeypatch.setattr(judging, "check_people", lambda *_: [])
    passed = judge(as_skops(model))
    assert blocked(passed) == set()
    assert passed.content is not None
    assert given_back(passed.content).tree_.threshold[0] == 20_260_207.0


@pytest.mark.attack(
    what="the smallest and the largest value of one person, told by a scale",
    route="a declared model", layer="model gate",
    control="the same scale in the file gives both values back",
)  # fmt: skip
@pytest.mark.slow
def test_extremes_in_a_scale_do_not_leave() -> None:
    model = CITY.train(make_pipeline(MinMaxScaler(), LogisticRegression()))
    assert blocked(judge(as_skops(model))) == {"extreme"}
    scale = model[0]
    assert np.isclose(-scale.min_[1] / scale.scale_[1], CITY.table[~CITY.held][:, 1].min())


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp") / f"trap-{id(CITY)}",)


@pytest.mark.attack(
    what="code that runs when a model is loaded: a pickle, and one in a member of a skops file",
    route="a declared model", layer="model gate",
    control="whoever unpickles the same bytes has run the code",
)  # fmt: skip
def test_code_on_load_is_neither_run_nor_released() -> None:
    mark = Path("/tmp") / f"trap-{id(CITY)}"
    hidden = io.BytesIO()
    np.save(hidden, np.array([Trap()], dtype=object), allow_pickle=True)
    nested = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(as_skops(tree(CITY)))) as old, zipfile.ZipFile(nested, "w") as fresh:
        for name in old.namelist():
            fresh.writestr(name, hidden.getvalue() if name.endswith(".npy") else old.read(name))
    for data in (pickle.dumps(Trap()), nested.getvalue()):
        assert blocked(judge(data, OPEN)) == {"model_code"}
    assert not mark.exists()
    try:
        np.load(io.BytesIO(hidden.getvalue()), allow_pickle=True)
        assert mark.exists()
    finally:
        mark.unlink(missing_ok=True)


@pytest.mark.attack(
    what="rows in metadata, unused constants and documentation of an ONNX model",
    route="a declared model", layer="model gate",
    control="the onnx library reads them out of the same file",
)  # fmt: skip
def test_rows_beside_an_onnx_graph_do_not_leave() -> None:
    text = json.dumps(CITY.table[:50].tolist())
    constant = onnx.numpy_helper.from_array(CITY.table, "rows")
    changes = (
        lambda model: model.metadata_props.add(key="rows", value=text),
        lambda model: model.graph.initializer.append(constant),
        lambda model: setattr(model.graph, "doc_string", text),
    )
    plain = as_onnx(logistic(CITY), CITY.table)
    for change in changes:
        data = changed_onnx(plain, change)
        verdict = judge(data, OPEN)
        assert blocked(verdict) == {"model_extra"}
        assert verdict.content is None
    whole = onnx.load_model_from_string(changed_onnx(plain, changes[1]))
    assert rows_of(onnx.numpy_helper.to_array(whole.graph.initializer[-1])) == CITY.frame.height


REACH = """
import json, os, pathlib, socket
def tcp(): socket.create_connection(("127.0.0.1", {port}), 2)
def secret(): pathlib.Path({secret!r}).read_text()
def write(): open({table!r}, "ab").write(b"x")
found = {{}}
for attempt in (tcp, secret, write):
    try:
        attempt()
        found[attempt.__name__] = "reached"
    except OSError:
        found[attempt.__name__] = "refused"
print(json.dumps(found))
"""


@pytest.mark.attack(
    what="the host's loopback, files beside the rows, and the rows themselves, written to",
    route="code in the worker that reads models", layer="mount namespace",
    control="the same code outside the jail reaches all three",
)  # fmt: skip
def test_a_worker_that_a_model_has_taken_over_reaches_nothing(tmp_path: Path) -> None:
    table, secret = tmp_path / "rows.parquet", tmp_path / "secret"
    pl.DataFrame({"a": [1]}).write_parquet(table)
    secret.write_text("beside the rows")
    with socket.create_server(("127.0.0.1", 0)) as server, apart._filter() as seccomp:
        port = server.getsockname()[1]
        inside = REACH.format(port=port, secret=str(secret), table=apart.INSIDE_TABLE)
        command = [*apart.command(table, seccomp.fileno())[:-2], "-c", inside]
        jailed = subprocess.run(
            command, capture_output=True, text=True, check=True, pass_fds=(seccomp.fileno(),), timeout=60,
            env=apart._variables(),
        )  # fmt: skip
        outside = REACH.format(port=port, secret=str(secret), table=str(table))
        free = subprocess.run([sys.executable, "-c", outside], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(jailed.stdout) == {"tcp": "refused", "secret": "refused", "write": "refused"}
    assert json.loads(free.stdout) == {"tcp": "reached", "secret": "reached", "write": "reached"}
