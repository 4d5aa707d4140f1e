"""The operators of ONNX that are accepted, each as steps of a program (onnx Operators.md, Operators-ml.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.program import TREES, Array, Step
from sandbox.airlock.models.problems import FORMAT, STORES, TYPE, ModelRefused

Constants = dict[str, Array]
MOST_CLASSES: Final = 64
"""The most labels that a classifier may have."""

_BATCH: Final = frozenset({-1, 0})


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a graph, decoded."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """What a node becomes: its steps, the attributes that were understood, the classes that its scores are of."""

    steps: tuple[Step, ...]
    used: frozenset[str] = frozenset()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Maker = Callable[[Node, Constants], Made]


def family(steps: Sequence[Step]) -> str:
    """Return what kind of learner makes such a graph: boosting, trees, network or linear."""
    names = [step.op for step in steps]
    if TREES in names:
        after = names[names.index(TREES) + 1 :]
        several = any(len(np.asarray(step.attributes["roots"])) > 1 for step in steps if step.op == TREES)
        return "boosting" if several and ("Sigmoid" in after or "Softmax" in after) else "trees"
    return "network" if names.count("Gemm") + names.count("MatMul") > 1 else "linear"


def _same(name: str, *, used: Sequence[str] = ()) -> Maker:
    """Return a maker for an operator that is one step of this name."""
    return lambda node, _: Made(
        (Step(name, node.inputs, node.outputs, {one: node.attributes[one] for one in used if one in node.attributes}),),
        frozenset(used),
    )


def _passing(*used: str) -> Maker:
    """Return a maker for an operator that gives what it got."""
    return lambda node, _: Made((Step("Identity", node.inputs[:1], node.outputs[:1]),), frozenset(used))


def _zip_map(node: Node, _: Constants) -> Made:
    labels = node.attributes.get("classlabels_strings") or node.attributes.get("classlabels_int64s") or ()
    return Made(
        (Step("Identity", node.inputs, node.outputs),), frozenset({"classlabels_strings", "classlabels_int64s"}),
        {node.outputs[0]: tuple(str(one) for one in labels)},
    )  # fmt: skip


def _cast(node: Node, _: Constants) -> Made:
    op = "Identity" if node.attributes.get("to") == 8 else "Number"
    return Made((Step(op, node.inputs, node.outputs),), frozenset({"to", "saturate"}))


def _reshape(node: Node, constants: Constants) -> Made:
    """Accept shapes that keep rows as rows: a vector, or a matrix of rows."""
    shape = [int(one) for one in constants[node.inputs[1]].ravel()] if node.inputs[1] in constants else []
    if len(shape) == 1 and shape[0] == -1:
        return Made((Step("Vector", node.inputs[:1], node.outputs),), frozenset({"allowzero"}))
    if len(shape) == 2 and shape[0] in _BATCH:
        return Made((Step("Column", node.inputs[:1], node.outputs),), frozenset({"allowzero"}))
    raise ModelRefused(TYPE, "a Reshape that mixes rows", "shapes [-1], [-1, n] or [0, n]")


def _axis_one(name: str) -> Maker:
    def make(node: Node, constants: Constants) -> Made:
        axes = node.attributes.get("axes") or (node.attributes.get("axis", -1),)
        if len(node.inputs) > 1 and node.inputs[1] in constants and name.startswith("Reduce"):
            axes = tuple(int(one) for one in constants[node.inputs[1]].ravel())
        if any(int(one) not in (1, -1) for one in np.atleast_1d(axes)):
            raise ModelRefused(TYPE, f"{node.kind} along rows", "axis 1: within each row")
        read = node.inputs if name == "Concat" else node.inputs[:1]
        used = frozenset({"axis", "axes", "keepdims", "noop_with_empty_axes"})
        return Made((Step(name, read, node.outputs),), used)

    return make


def _gather(node: Node, constants: Constants) -> Made:
    """Accept the choice of columns; a table that data chooses rows from is a store of rows."""
    named = constants.get(node.inputs[0])
    if named is not None and named.size <= MOST_CLASSES and node.inputs[1] not in constants:
        # The names of classes, chosen by the place of the largest score.
        classes = tuple(str(one) for one in named.ravel())
        return Made((Step("Identity", node.inputs[1:], node.outputs),), frozenset({"axis"}), {node.outputs[0]: classes})
    if named is not None or node.inputs[1] not in constants:
        raise ModelRefused(
            STORES, f"{node.kind} that looks rows up in a constant", "the choice of columns by constants"
        )
    if node.kind == "Gather" and node.attributes.get("axis", 0) not in (1, -1):
        raise ModelRefused(TYPE, "Gather along rows", "axis 1")
    places = constants[node.inputs[1]].ravel().astype(np.int64)
    return Made((Step("Take", node.inputs[:1], node.outputs, {"columns": places}),), frozenset({"axis"}))


def _gemm(node: Node, constants: Constants) -> Made:
    if node.attributes.get("transA"):
        raise ModelRefused(TYPE, "Gemm with its rows turned", "transA of 0")
    return _same("Gemm", used=("alpha", "beta", "transA", "transB"))(node, constants)


def _clip(node: Node, constants: Constants) -> Made:
    bounds: dict[str, Any] = {}
    for name, key, place in (("low", "min", 1), ("high", "max", 2)):
        if key in node.attributes:
            bounds[name] = float(node.attributes[key])
        elif len(node.inputs) > place and node.inputs[place] in constants:
            bounds[name] = float(constants[node.inputs[place]])
    return Made((Step("Clip", node.inputs[:1], node.outputs, bounds),), frozenset({"min", "max"}))


def _batch_norm(node: Node, constants: Constants) -> Made:
    _, scale, bias, mean, spread = node.inputs[:5]
    if not {scale, bias, mean, spread} <= set(constants) or node.attributes.get("training_mode"):
        raise ModelRefused(TYPE, "BatchNormalization in training", "constants of a trained model")
    factor = constants[scale] / np.sqrt(constants[spread] + float(node.attributes.get("epsilon", 1e-5)))
    offset = constants[mean] - np.divide(constants[bias], factor, out=np.zeros_like(factor), where=factor != 0)
    step = Step("Scale", node.inputs[:1], node.outputs[:1], {"offset": offset, "scale": factor})
    return Made((step,), frozenset({"epsilon", "momentum", "training_mode", "spatial"}))


def _scaler(node: Node, _: Constants) -> Made:
    given = {name: np.asarray(node.attributes[name], np.float64) for name in ("offset", "scale")}
    return Made((Step("Scale", node.inputs, node.outputs, given),), frozenset({"offset", "scale"}))


def _imputer(node: Node, _: Constants) -> Made:
    fill = node.attributes.get("imputed_value_floats") or node.attributes.get("imputed_value_int64s")
    marked = node.attributes.get("replaced_value_float", np.nan)
    if not fill or not np.isnan(float(marked)):
        raise ModelRefused(TYPE, "Imputer of other than missing values", "values in place of NaN")
    used = frozenset({"imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"})
    return Made((Step("Impute", node.inputs, node.outputs, {"fill": np.asarray(fill, np.float64)}),), used)


def _categories(node: Node, keys: Sequence[str]) -> Array:
    found = next((node.attributes[key] for key in keys if node.attributes.get(key)), ())
    return np.asarray(found, dtype=object if found and isinstance(found[0], str) else None)


def _onehot(node: Node, _: Constants) -> Made:
    known = _categories(node, ("cats_strings", "cats_int64s"))
    place = np.zeros(len(known), dtype=np.int64)
    step = Step("OneHot", node.inputs, node.outputs, {"category": known, "place": place})
    return Made((step,), frozenset({"cats_strings", "cats_int64s", "zeros"}))


def _label_encoder(node: Node, _: Constants) -> Made:
    """Accept codes for categories, and the names of classes at the end; other lookups are a table of rows."""
    keys = _categories(node, ("keys_strings", "keys_int64s", "keys_floats"))
    codes = _categories(node, ("values_int64s", "values_floats", "values_strings"))
    used = frozenset(node.attributes) & frozenset({
        "keys_strings", "keys_int64s", "keys_floats", "values_int64s", "values_floats", "values_strings",
        "default_int64", "default_float", "default_string",
    })  # fmt: skip
    if codes.dtype.kind == "O":
        classes = tuple(str(one) for one in codes)
        return Made((Step("Identity", node.inputs, node.outputs),), used, {node.outputs[0]: classes})
    place = np.zeros(len(keys), dtype=np.int64)
    default = float(node.attributes.get("default_int64", node.attributes.get("default_float", -1.0)))
    given: dict[str, Any] = {
        "category": keys, "place": place, "codes": codes.astype(np.float64), "default": default
    }  # fmt: skip
    return Made((Step("Codes", node.inputs, node.outputs, given),), used)


def post(transform: str, read: str, given: str) -> list[Step]:
    """Return the steps from raw scores to a node's scores."""
    op = {"NONE": "Identity", "SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}.get(transform)
    if op is None:
        raise ModelRefused(TYPE, "a transform of scores", "NONE, SOFTMAX or LOGISTIC")
    return [Step(op, (read,), (given,))]


def class_names(node: Node) -> tuple[str, ...]:
    """Return the labels of a classifier, in the order of its scores."""
    keys = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
    return tuple(str(one) for one in _categories(node, keys))


def _linear(node: Node, _: Constants) -> Made:
    classifier = node.kind == "LinearClassifier"
    weights = np.asarray(node.attributes["coefficients"], np.float64)
    names = class_names(node) if classifier else ()
    bias = np.asarray(node.attributes.get("intercepts") or [0.0] * (len(names) or 1), np.float64)
    if len(weights) % len(bias) or (classifier and len(bias) not in (1, len(names))):
        raise ModelRefused(FORMAT, f"coefficients of {node.kind}", "as many for each score")
    given = node.outputs[-1]
    two = classifier and len(bias) == 1 and len(names) == 2
    attributes = {"weights": weights.reshape(len(bias), -1).T.copy(), "bias": bias}
    steps = [Step("Affine", node.inputs, (f"{given}/raw",), attributes)]
    steps += post(str(node.attributes.get("post_transform", "NONE")), f"{given}/raw", f"{given}/one" if two else given)
    steps += [Step("Two", (f"{given}/one",), (given,))] if two else []
    used = frozenset({
        "coefficients", "intercepts", "post_transform", "classlabels_strings", "classlabels_ints", "multi_class",
        "targets",
    })  # fmt: skip
    return Made((*steps, *_label(node)), used, {given: names} if names else {})


def _label(node: Node) -> list[Step]:
    """Return the step for the label beside the scores: nothing that is judged comes from it."""
    return [Step("Identity", (node.outputs[-1],), (node.outputs[0],))] if len(node.outputs) == 2 else []


def _trees(node: Node, _: Constants) -> Made:
    from sandbox.airlock.models.onnx_trees import read_trees

    return read_trees(node)


OPERATORS: Final[Mapping[str, Maker]] = {
    "Identity": _passing(), "Dropout": _passing("ratio", "seed"), "ZipMap": _zip_map, "Cast": _cast,
    "Reshape": _reshape, "Flatten": _axis_one("Column"), "Concat": _axis_one("Concat"),
    "FeatureVectorizer": _same("Concat", used=("inputdimensions",)), "Gather": _gather,
    "ArrayFeatureExtractor": _gather, "Gemm": _gemm, "MatMul": _same("MatMul"), "Add": _same("Add"),
    "Sub": _same("Sub"), "Mul": _same("Mul"), "Div": _same("Div"), "Neg": _same("Neg"), "Exp": _same("Exp"),
    "Log": _same("Log"), "Sqrt": _same("Sqrt"), "Abs": _same("Abs"), "Relu": _same("Relu"),
    "LeakyRelu": _same("LeakyRelu", used=("alpha",)), "Elu": _same("Elu", used=("alpha",)),
    "Sigmoid": _same("Sigmoid"), "Tanh": _same("Tanh"), "Softplus": _same("Softplus"),
    "Softmax": _axis_one("Softmax"), "Clip": _clip, "ReduceSum": _axis_one("ReduceSum"),
    "ReduceMean": _axis_one("ReduceMean"), "BatchNormalization": _batch_norm, "Scaler": _scaler,
    "Normalizer": _same("Normal", used=("norm",)), "Imputer": _imputer, "OneHotEncoder": _onehot,
    "LabelEncoder": _label_encoder, "LinearClassifier": _linear, "LinearRegressor": _linear,
    "TreeEnsembleClassifier": _trees, "TreeEnsembleRegressor": _trees, "ArgMax": _axis_one("ArgMax"),
}  # fmt: skip
"""Operators by name. What is not here is refused."""
