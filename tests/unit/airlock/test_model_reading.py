"""Reading models: what the platform understands of a file is what its library computes, and so is what leaves."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
import skops.io
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sandbox.airlock.models.inside.arithmetic import run
from sandbox.airlock.models.problems import ModelRefused, Read
from sandbox.airlock.models.reading import read_model
from sandbox.airlock.models.specification import Layer
from tests.models_kit import as_onnx, as_skops, changed_onnx, logistic, mixed, tree, world

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CITY = world(400)
CLASSIFIERS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "range": make_pipeline(MinMaxScaler(), LogisticRegression()),
    "tree": DecisionTreeClassifier(max_depth=4),
    "forest": RandomForestClassifier(4, max_depth=3, random_state=0),
    "bayes": GaussianNB(),
    "layers": make_pipeline(StandardScaler(), MLPClassifier((5, 4), max_iter=60, random_state=0)),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))], voting="soft"),
}
REGRESSIONS = {
    "linear": LinearRegression(), "ridge": make_pipeline(StandardScaler(), Ridge()),
    "forest": RandomForestRegressor(3, max_depth=3, random_state=0),
    "extra": ExtraTreesRegressor(3, max_depth=3, random_state=0),
    "layers": make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=60, random_state=0)),
}  # fmt: skip


def read(data: bytes, **declared: Any) -> Read:
    return read_model(data, CITY.declared(**declared))


def refused(data: bytes, **declared: Any) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        read(data, **declared)
    return caught.value


def score(made: Read, table: Any = None) -> Any:
    table = CITY.table if table is None else table
    return run(made.program, tuple(np.array(column.tolist()) for column in table.T))


def by_library(data: bytes, table: Any) -> Any:
    """Return the scores that ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: table.astype(np.float32)})[-1]
    rows = [[one[key] for key in one] for one in found] if isinstance(found, list) else found
    return np.asarray(rows).reshape(len(table), -1)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_read_skops_gives_what_scikit_learn_computes(name: str) -> None:
    model = CITY.train(CLASSIFIERS[name])
    made = read(as_skops(model))
    assert np.abs(score(made) - model.predict_proba(CITY.table)).max() < 1e-9
    again = skops.io.loads(made.content, trusted=skops.io.get_untrusted_types(data=made.content))
    assert np.array_equal(again.predict_proba(CITY.table), model.predict_proba(CITY.table))
    assert np.array_equal(again.predict(CITY.table), model.predict(CITY.table))
    assert read(made.content).content == made.content
    assert made.program.classes == ("0", "1")


@pytest.mark.parametrize("name", REGRESSIONS)
def test_read_skops_gives_a_regression(name: str) -> None:
    model = CITY.train(REGRESSIONS[name], "owed")
    made = read(as_skops(model))
    assert np.abs(score(made)[:, 0] - model.predict(CITY.table)).max() < 1e-9
    again = skops.io.loads(made.content, trusted=skops.io.get_untrusted_types(data=made.content))
    assert np.array_equal(again.predict(CITY.table), model.predict(CITY.table))


def test_read_skops_gives_texts_and_missing_values() -> None:
    model, table = mixed(CITY.frame)
    made = read(as_skops(model), columns=["age", "income", "place"])
    assert np.abs(score(made, table) - model.predict_proba(table)).max() < 1e-9
    assert set(made.program.texts()) == {"0", "1", "north", "south", "west"}


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", [*sorted(set(CLASSIFIERS) - {"bayes", "vote"}), "boosting"])
def test_read_onnx_gives_what_its_runtime_computes(name: str, *, plain: bool) -> None:
    model = CITY.train(CLASSIFIERS.get(name, GradientBoostingClassifier(n_estimators=4, max_depth=2)))
    data = as_onnx(model, CITY.table, options={"zipmap": not plain})
    made = read(data)
    for file in (data, made.content):
        assert np.abs(score(made) - by_library(file, CITY.table)).max() < 1e-4
    onnx.checker.check_model(onnx.load_model_from_string(made.content))
    assert read(made.content).content == made.content


@pytest.mark.parametrize("name", REGRESSIONS)
def test_read_onnx_gives_a_regression(name: str) -> None:
    data = as_onnx(CITY.train(REGRESSIONS[name], "owed"), CITY.table)
    made = read(data)
    for file in (data, made.content):
        assert np.abs(score(made) - by_library(file, CITY.table)).max() < 1e-4


def layers() -> tuple[dict[str, Any], Any]:
    random = np.random.default_rng(0)
    tensors = {
        "one.weight": random.normal(size=(3, 4)).astype(np.float32), "one.bias": np.ones(3, np.float32),
        "two.weight": random.normal(size=(1, 3)).astype(np.float32),
    }  # fmt: skip
    hidden = np.maximum(CITY.table @ tensors["one.weight"].T.astype(float) + 1, 0)
    return tensors, 1 / (1 + np.exp(-hidden @ tensors["two.weight"].T.astype(float)))


ARCHITECTURE = [Layer("one.weight", "one.bias", "relu"), Layer("two.weight", "", "sigmoid")]


def test_read_safetensors_by_its_declared_architecture() -> None:
    tensors, expected = layers()
    made = read(safetensors.numpy.save(tensors), architecture=ARCHITECTURE, classes=["0", "1"])
    assert np.abs(score(made)[:, 1:] - expected).max() < 1e-9
    again = safetensors.numpy.load(made.content)
    assert {name: one.tolist() for name, one in again.items()} == {name: one.tolist() for name, one in tensors.items()}


def test_read_json_layers() -> None:
    tensors, expected = layers()
    told = {
        "format": "shuzha-model/1", "classes": ["0", "1"],
        "layers": [
            {"weights": tensors["one.weight"].T.tolist(), "bias": [1.0] * 3, "activation": "relu"},
            {"weights": tensors["two.weight"].T.tolist(), "bias": [0.0], "activation": "sigmoid"},
        ],
    }  # fmt: skip
    assert np.abs(score(read(json.dumps(told).encode()))[:, 1:] - expected).max() < 1e-6
    assert refused(json.dumps(told | {"rows": [1]}).encode()).rule == "model_format"


PMML = """<?xml version="1.0"?><PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header copyright="A. Nonymous"/>
<DataDictionary><DataField name="age" optype="continuous" dataType="double"/><DataField name="late" optype="categorical"
 dataType="integer"/></DataDictionary>{model}</PMML>"""
TREE = """<TreeModel functionName="classification" splitCharacteristic="binarySplit"><MiningSchema><MiningField
 name="age"/></MiningSchema><Node id="1"><True/>
<Node score="0"><SimplePredicate field="age" operator="lessOrEqual" value="50.500"/>
 <ScoreDistribution value="0" recordCount="30"/><ScoreDistribution value="1" recordCount="10"/></Node>
<Node score="1"><SimplePredicate field="age" operator="greaterThan" value="50.500"/>
 <ScoreDistribution value="0" recordCount="5"/>
 <ScoreDistribution value="1" recordCount="15"/></Node></Node></TreeModel>"""
LINEAR = """<RegressionModel functionName="classification" normalizationMethod="logit"><MiningSchema/>
<RegressionTable intercept="-3.0" targetCategory="1"><NumericPredictor name="age" coefficient="0.05"/>
 <CategoricalPredictor name="rooms" value="2" coefficient="0.5"/></RegressionTable>
<RegressionTable intercept="0" targetCategory="0"/></RegressionModel>"""


def test_read_pmml_trees_and_regressions() -> None:
    made = read(PMML.format(model=TREE).encode())
    old = CITY.table[:, 0] > 50.5
    assert np.allclose(score(made)[:, 1], np.where(old, 0.75, 0.25))
    assert b"Nonymous" not in made.content, "the header stays inside"
    assert b"recordCount" not in made.content, "counts stay inside"
    assert read(made.content).content == made.content
    raw = -3 + 0.05 * CITY.table[:, 0] + 0.5 * (CITY.table[:, 2] == 2)
    found = read(PMML.format(model=LINEAR).encode())
    assert found.program.classes == ("0", "1")
    assert np.allclose(score(found)[:, 1], 1 / (1 + np.exp(-raw)))


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("<NearestNeighborModel/>", "model_stores_rows"),
        ("<SupportVectorMachineModel/>", "model_stores_rows"),
        ("<RuleSetModel/>", "model_type"),
        (TREE.replace("<Node id", "<Extension>rows</Extension><Node id"), "model_extra"),
        (TREE.replace("<True/>", "<True/>a row of text", 1), "model_extra"),
        (TREE.replace('score="0"', 'score="0" note="a row"'), "model_extra"),
    ],
)
def test_read_pmml_refuses_what_is_not_listed(model: str, rule: str) -> None:
    assert refused(PMML.format(model=model).encode()).rule == rule


def test_read_pmml_refuses_entities() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]>' + PMML.format(model=TREE).removeprefix('<?xml version="1.0"?>')
    assert refused(bomb.encode()).rule == "model_extra"


class Trap:
    """Runs code when it is unpickled."""

    fell = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "fell", True)


def joblib_file(*, compress: int = 0) -> bytes:
    buffer = io.BytesIO()
    joblib.dump({"a": Trap(), "b": np.arange(4)}, buffer, compress=compress)
    return buffer.getvalue()


@pytest.mark.boundary(
    rule="model_code", passes="a file that is read as numbers",
    fails="a pickle of any protocol, joblib plain or compressed",
)  # fmt: skip
@pytest.mark.parametrize(
    "data", [*(pickle.dumps(Trap(), protocol) for protocol in range(6)), joblib_file(), joblib_file(compress=3)]
)
def test_read_blocks_code_on_load_and_runs_none_of_it(data: bytes) -> None:
    Trap.fell = False
    assert refused(data).rule == "model_code"
    assert not Trap.fell
    joblib.load(io.BytesIO(data))  # The control: whoever loads it has run it.
    assert Trap.fell


def with_members(data: bytes, **members: bytes) -> bytes:
    """Return a zip with members added or exchanged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as fresh:
        for name in old.namelist():
            fresh.writestr(name, members.pop(name, None) or old.read(name))
        for name, content in members.items():
            fresh.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def with_schema(data: bytes, change: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        schema = json.loads(old.read("schema.json"))
    change(schema)
    return with_members(data, **{"schema.json": json.dumps(schema).encode()})


def attributes(schema: Any) -> Any:
    return schema["content"]["content"]


TREE_FILE = as_skops(tree(CITY))
OBJECTS = io.BytesIO()
np.save(OBJECTS, np.array([Trap()], dtype=object), allow_pickle=True)


def test_read_skops_blocks_a_pickle_in_a_member() -> None:
    with zipfile.ZipFile(io.BytesIO(TREE_FILE)) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".npy"))
    for content in (OBJECTS.getvalue(), pickle.dumps(Trap())):
        assert refused(with_members(TREE_FILE, **{member: content})).rule == "model_code"
    assert refused(with_members(TREE_FILE, model__pkl=pickle.dumps(Trap()))).rule == "model_code"
    assert refused(with_members(TREE_FILE, rows__npy=OBJECTS.getvalue())).rule == "model_extra"


@pytest.mark.parametrize(
    "loader", ["FunctionNode", "MethodNode", "PartialNode", "ConstructorFromReduceNode", "BytesNode"]
)
def test_read_skops_blocks_nodes_that_make_or_call(loader: str) -> None:
    def change(schema: Any) -> None:
        attributes(schema)["criterion"] |= {"__loader__": loader, "__module__": "os", "__class__": "system"}

    assert refused(with_schema(TREE_FILE, change)).rule == "model_code"


def test_read_skops_blocks_a_type_from_elsewhere() -> None:
    def change(schema: Any) -> None:
        schema |= {"__module__": "my_package", "__class__": "MyModel"}

    assert refused(with_schema(TREE_FILE, change)).rule == "model_code"


def test_read_skops_blocks_functions_in_a_pipeline() -> None:
    model = CITY.train(make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()))
    assert refused(as_skops(model)).rule == "model_code"


STORING = {
    "neighbours": KNeighborsClassifier(), "vectors": SVC(), "process": GaussianProcessClassifier(optimizer=None),
    "in a pipeline": make_pipeline(StandardScaler(), KNeighborsClassifier()),
    "in a vote": VotingClassifier([("a", LogisticRegression()), ("b", SVC(probability=True))], voting="soft"),
    "in a pipeline in a vote": VotingClassifier(
        [("a", make_pipeline(StandardScaler(), KNeighborsClassifier()))], voting="soft"
    ),
}  # fmt: skip


@pytest.mark.boundary(
    rule="model_stores_rows", passes="linear, trees, layers, naive Bayes",
    fails="neighbours, support vectors, Gaussian processes, at any depth",
)  # fmt: skip
@pytest.mark.parametrize("name", STORING)
def test_read_skops_blocks_what_stores_rows_at_any_depth(name: str) -> None:
    data = as_skops(CITY.train(STORING[name]))
    assert refused(data).rule == "model_stores_rows"
    rows = int((~CITY.held).sum())
    assert max(len(one) for one in arrays(data)) >= rows / 2, "the control: the rows are in the file"


def arrays(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(archive.read(name)))
                if array.dtype.kind == "f":
                    yield array.ravel()


@pytest.mark.boundary(
    rule="model_extra", passes="the attributes that a type has when fitted",
    fails="one more, with rows in it, in a nested estimator",
)  # fmt: skip
def test_read_skops_blocks_rows_in_an_attribute_of_a_nested_estimator() -> None:
    model = logistic(CITY)
    model[1].notes_ = CITY.table
    found = refused(as_skops(model))
    assert (found.rule, found.place) == ("model_extra", "attribute notes_ of LogisticRegression")
    del model[1].notes_
    assert read(as_skops(model)).format == "skops"


def test_read_skops_blocks_what_is_hidden_in_known_attributes() -> None:
    for name, value in (("max_features_", CITY.table), ("n_outputs_", CITY.table), ("criterion", "x" * 41)):
        model = tree(CITY)
        setattr(model, name, value)
        assert refused(as_skops(model)).rule == "model_extra", name
    forest = CITY.train(RandomForestClassifier(3, max_depth=2))
    forest.estimators_[1].min_samples_leaf = 370_102
    assert refused(as_skops(forest)).rule == "model_extra"


def test_read_skops_blocks_out_of_bag_scores_and_leaves_counts_behind() -> None:
    assert refused(as_skops(CITY.train(RandomForestClassifier(20, max_depth=2, oob_score=True)))).rule == "model_extra"
    again = skops.io.loads(read(TREE_FILE).content, trusted=["sklearn.tree._tree.Tree"])
    assert again.tree_.n_node_samples.max() == 0
    assert again.tree_.impurity.max() == 0
    assert tree(CITY).tree_.n_node_samples.max() > 0


@pytest.mark.boundary(
    rule="model_type", passes="a vote of listed estimators",
    fails="a meta-estimator that is not listed",
)  # fmt: skip
def test_read_skops_blocks_meta_estimators_that_are_not_listed() -> None:
    assert refused(as_skops(CITY.train(BaggingClassifier(LogisticRegression(), 2)))).rule == "model_type"


def test_read_skops_writes_no_addresses_dates_or_seeds() -> None:
    model = CITY.train(DecisionTreeClassifier(max_depth=2, random_state=123_456_789))
    made = read(as_skops(model)).content
    assert made == read(as_skops(model)).content
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert b"123456789" not in archive.read("schema.json")
        assert {one.date_time[0] for one in archive.infolist()} == {1980}


ONNX_FILE = as_onnx(logistic(CITY), CITY.table, options={"zipmap": False})


def tensor(name: str, array: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def _metadata(model: Any) -> None:
    model.metadata_props.add(key="rows", value="r1,34,5012.22")


def _documented(model: Any) -> None:
    model.graph.node[0].doc_string = "r1,34,5012.22"


def _unused(model: Any) -> None:
    model.graph.initializer.append(tensor("rows", CITY.table))


def _external(model: Any) -> None:
    model.graph.initializer.append(tensor("rows", CITY.table))
    model.graph.initializer[-1].external_data.add(key="location", value="../../etc/passwd")
    model.graph.initializer[-1].data_location = 1


def _other_domain(model: Any) -> None:
    model.opset_import.add(domain="com.example", version=1)
    model.graph.node[0].domain = "com.example"


def _function(model: Any) -> None:
    model.functions.add(name="F", domain="ai.onnx")


def _subgraph(model: Any) -> None:
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", onnx.GraphProto()))


def _long_name(model: Any) -> None:
    model.producer_name = "r1,34,5012.22;" * 20


def _attribute(model: Any) -> None:
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("rows", [1.0, 2.0]))


def _twice(model: Any) -> None:
    model.graph.initializer.append(tensor("rows", CITY.table[0].astype(np.float32)))
    model.graph.initializer[-1].float_data.extend([34.0, 5012.22])
    model.graph.node[0].input.append("rows")


def _dead(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.input[0].name], ["nowhere"]))


def _neighbours(model: Any) -> None:
    model.graph.node[0].op_type = "Cdist"


def _vectors(model: Any) -> None:
    model.graph.node[0].op_type = "SVMClassifier"


def _loop(model: Any) -> None:
    model.graph.node[0].op_type = "Loop"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (_metadata, "model_extra"), (_documented, "model_extra"), (_unused, "model_extra"), (_external, "model_code"),
        (_other_domain, "model_code"), (_function, "model_code"), (_subgraph, "model_format"),
        (_long_name, "model_extra"), (_attribute, "model_extra"), (_twice, "model_extra"), (_dead, "model_extra"),
        (_neighbours, "model_stores_rows"), (_vectors, "model_stores_rows"), (_loop, "model_type"),
    ],
)  # fmt: skip
def test_read_onnx_refuses_what_a_model_does_not_need(change: Any, rule: str) -> None:
    assert refused(changed_onnx(ONNX_FILE, change)).rule == rule


def test_read_onnx_refuses_a_table_that_data_looks_rows_up_in() -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["rows", "index"], ["found"], axis=0)], "g",
        [onnx.helper.make_tensor_value_info("age", onnx.TensorProto.INT64, [None, 1])],
        [onnx.helper.make_tensor_value_info("found", onnx.TensorProto.DOUBLE, None)],
        [tensor("rows", CITY.table)],
    )  # fmt: skip
    graph.node[0].input[1] = "age"
    assert refused(onnx.helper.make_model(graph).SerializeToString()).rule == "model_stores_rows"


def test_read_onnx_refuses_fields_that_no_schema_names() -> None:
    hidden = ONNX_FILE + b"\xfa\x3e\x05rows!"  # Field 1007: libraries read past it and keep it.
    assert onnx.load_model_from_string(hidden).ir_version
    assert refused(hidden).rule == "model_format"


def test_read_onnx_refuses_numbers_in_leaves_and_nodes_that_nothing_reaches() -> None:
    data = as_onnx(tree(CITY), CITY.table, options={"zipmap": False})

    def lost(model: Any) -> None:
        held = {one.name: one for one in model.graph.node[0].attribute}
        whole = {"nodes_treeids": 0, "nodes_nodeids": 99, "nodes_featureids": 0, "nodes_truenodeids": 0}
        whole |= {"nodes_falsenodeids": 0, "nodes_missing_value_tracks_true": 0}
        for name, value in whole.items():
            held[name].ints.append(value)
        held["nodes_values"].floats.append(5012.22)
        held["nodes_hitrates"].floats.append(1.0)
        held["nodes_modes"].strings.append(b"LEAF")

    made = read(data)
    found = {one.name: one for one in onnx.load_model_from_string(made.content).graph.node[0].attribute}
    leaves = [mode == b"LEAF" for mode in found["nodes_modes"].strings]
    assert all(value == 0 for value, leaf in zip(found["nodes_values"].floats, leaves, strict=True) if leaf)
    assert refused(changed_onnx(data, lost)).rule in ("model_extra", "model_format")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda data: data + b"rows", "model_extra"),
        (lambda data: safetensors.numpy.save(layers()[0], {"rows": "r1,34"}), "model_extra"),
        (lambda data: safetensors.numpy.save(layers()[0] | {"rows": CITY.table}), "model_extra"),
        (lambda data: data[:-4], "model_extra"),
    ],
)
def test_read_safetensors_refuses_more_than_the_layers(change: Any, rule: str) -> None:
    data = change(safetensors.numpy.save(layers()[0]))
    assert refused(data, architecture=ARCHITECTURE, classes=["0", "1"]).rule == rule


def test_read_safetensors_asks_for_an_architecture() -> None:
    assert refused(safetensors.numpy.save(layers()[0])).rule == "model_type"


@pytest.mark.boundary(
    rule="model_format", passes="ONNX, skops, safetensors, PMML, JSON by content",
    fails="anything else, and half a file",
)  # fmt: skip
@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\nrest", b"\x1f\x8b\x08", b"a,b\n1,2\n", b"\x08\x08\x12", b"{}", b"<a/>",
     struct.pack("<Q", 1 << 60) + b"{}", b"\x80\x04N."],
)  # fmt: skip
def test_read_refuses_what_is_no_model(data: bytes) -> None:
    assert refused(data).rule in ("model_format", "model_code", "model_type")
