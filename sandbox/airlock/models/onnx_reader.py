"""ONNX: a file is decoded by the closed schema, its graph becomes a program, and it is written anew without names.

Only the operators of `onnx_operators` in the standard domains are accepted. Functions, other domains, graphs inside
nodes, external data, metadata, documentation, and constants that no node uses are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from sandbox.airlock.models import onnx_operators
from sandbox.airlock.models.inside.program import TREES, Array, Input, Program, Step
from sandbox.airlock.models.onnx_schema import ONNX, TENSOR_TYPES, TEXT_TENSOR
from sandbox.airlock.models.onnx_trees import write_trees
from sandbox.airlock.models.problems import CODE, EXTRA, FORMAT, STORES, TYPE, ModelRefused, Read
from sandbox.airlock.models.protobuf import Malformed, Message, decode, encode

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_FLOAT_OUT, _PRODUCER = 1, ("producer_name", "producer_version", "domain")
_SHORT: Final = 64
_NO_EXTRA: Final = "a model without functions, metadata, documentation, external data or unused constants"
_LISTING: Final = frozenset({
    "TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier", "LinearRegressor", "LabelEncoder",
    "OneHotEncoder", "Scaler", "Imputer", "FeatureVectorizer",
})  # fmt: skip
_STORING: Final = frozenset({"SVMClassifier", "SVMRegressor", "Cdist", "TopK", "NonMaxSuppression", "TfIdfVectorizer"})


def read(data: bytes, columns: Sequence[str]) -> Read:
    """Return the model in these bytes, over `columns` in their order; raises ModelRefused with the rule that it breaks.

    An input is one matrix of all columns, or one column each of that name.
    """
    try:
        model = decode(data, ONNX, "Model")
    except Malformed as error:
        raise ModelRefused(
            FORMAT, str(error), "a plain ONNX model; external data, functions, subgraphs are none"
        ) from None
    graph = _check_whole(model)
    constants = _constants(graph)
    steps, given = _steps(graph, constants)
    inputs = _inputs(graph, constants, columns)
    _check_used(graph, constants)
    output, classes = _output(graph, steps, given)
    program = Program(inputs, tuple(steps), output, classes, constants, onnx_operators.family(steps))
    written = encode(_canonical(model, graph, steps, columns), ONNX, "Model")
    names = sum(len(one) for key in _PRODUCER for one in model.get(key, ()))
    types = tuple(sorted({one["op_type"][0] for one in graph["node"]}))
    return Read("onnx", program, written, types, {"producer": names})


def _check_whole(model: Message) -> Message:
    """Return the graph; refuse what runs code, comes from elsewhere, or says more than the graph does."""
    if len(model.get("graph", ())) != 1:
        raise ModelRefused(FORMAT, "it has no graph", "an ONNX model with one graph")
    graph: Message = model["graph"][0]
    for opset in model.get("opset_import", ()):
        if "".join(opset.get("domain", ())) not in DOMAINS:
            raise ModelRefused(CODE, "an operator set of another domain", "the domains ai.onnx and ai.onnx.ml")
    if model.get("functions") or model.get("training_info"):
        raise ModelRefused(CODE, "functions or training graphs of its own", _NO_EXTRA)
    if any(len(one) > _SHORT for key in _PRODUCER for one in model.get(key, ())):
        raise ModelRefused(EXTRA, "a producer's name", f"at most {_SHORT} characters")
    for name, part in _parts(model, "model"):
        if part.get("external_data") or part.get("data_location", [0])[0]:
            raise ModelRefused(CODE, f"external data of {name}", "constants inside the file")
        if part.get("metadata_props") or any(part.get("doc_string", ())):
            raise ModelRefused(EXTRA, f"metadata or documentation of {name}", _NO_EXTRA)
    return graph


def _parts(part: Message, name: str) -> list[tuple[str, Message]]:
    """Return the message and every message in it, each with the kind that it is."""
    found = [(name, part)]
    for key, values in part.items():
        for one in values:
            if isinstance(one, dict):
                found += _parts(one, key)
    return found


def _constants(graph: Message) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for tensor in graph.get("initializer", ()):
        name = _first(tensor, "name", "")
        if not name or name in found:
            raise ModelRefused(FORMAT, "a constant without a name of its own", "each constant named once")
        found[name] = tensor_array(tensor)
    return found


def tensor_array(tensor: Message) -> Array:
    """Return the tensor as an array; refuses element types that are not listed and more numbers than its shape has."""
    kind, shape = _first(tensor, "data_type", 0), tuple(tensor.get("dims", ()))
    if any(size < 0 for size in shape):
        raise ModelRefused(FORMAT, "a constant of a negative size", "sizes of zero and more")
    held = [key for key in tensor if key.endswith(("_data", "raw_data")) and key != "external_data" and tensor[key]]
    if len(held) > 1:
        raise ModelRefused(EXTRA, "a constant that holds its numbers twice", "one field of data in each constant")
    if kind == TEXT_TENSOR:
        texts = [_text(one) for one in tensor.get("string_data", ())]
        return _shaped(np.asarray(texts, dtype=object), shape)
    if kind not in TENSOR_TYPES:
        raise ModelRefused(TYPE, "a constant's element type", "float, double, int32, int64, bool or text")
    dtype = np.dtype(TENSOR_TYPES[kind])
    if held == ["raw_data"]:
        raw = _first(tensor, "raw_data", b"")
        if len(raw) % dtype.itemsize:
            raise ModelRefused(FORMAT, "a constant's bytes", "whole numbers of its element type")
        return _shaped(np.frombuffer(raw, dtype=dtype).copy(), shape)
    listed = tensor.get(held[0], []) if held else []
    return _shaped(np.asarray(listed).astype(dtype), shape)


def _shaped(array: Array, shape: tuple[int, ...]) -> Array:
    if array.size != int(np.prod(shape, dtype=np.int64)):
        raise ModelRefused(EXTRA, "a constant with more or fewer numbers than its shape", "as many as its shape has")
    return array.reshape(shape)


def _steps(graph: Message, constants: dict[str, Array]) -> tuple[list[Step], dict[str, tuple[str, ...]]]:
    """Return the graph's steps, and the classes of values that are scores of classes."""
    steps: list[Step] = []
    classes: dict[str, tuple[str, ...]] = {}
    for place, node in enumerate(graph.get("node", ()), start=1):
        kind, domain = _first(node, "op_type", ""), _first(node, "domain", "")
        if kind in _STORING:
            raise ModelRefused(STORES, f"operator {kind}", "a model that keeps no row: linear, trees, dense layers")
        if domain not in DOMAINS:
            raise ModelRefused(CODE, f"node {place} of another domain", "the domains ai.onnx and ai.onnx.ml")
        make = onnx_operators.OPERATORS.get(kind)
        if make is None:
            shown = kind if re.fullmatch(r"[A-Za-z0-9]{1,40}", kind) else f"of node {place}"
            raise ModelRefused(TYPE, f"operator {shown}", ", ".join(sorted(onnx_operators.OPERATORS)))
        attributes = {_first(one, "name", ""): _attribute(one) for one in node.get("attribute", ())}
        if kind not in _LISTING and any(isinstance(one, tuple) and len(one) > _SHORT for one in attributes.values()):
            raise ModelRefused(EXTRA, f"a list of {kind}", f"at most {_SHORT} numbers")
        if len(attributes) != len(node.get("attribute", ())):
            raise ModelRefused(EXTRA, f"node {place} has an attribute twice", "each attribute once")
        found = onnx_operators.Node(kind, tuple(node.get("input", ())), tuple(node.get("output", ())), attributes)
        made = make(found, constants)
        if set(attributes) - made.used:
            raise ModelRefused(EXTRA, f"an attribute of {kind} that it has not", f"of {kind}: {', '.join(made.used)}")
        steps += made.steps
        classes |= made.classes
        for read_, given in zip(found.inputs, found.outputs, strict=False):
            if (
                read_ in classes
                and given not in classes
                and kind in ("Identity", "ZipMap", "Cast", "Normalizer", "Reshape")
            ):
                classes[given] = classes[read_]
    return steps, classes


def _attribute(one: Message) -> Any:
    """Return an attribute's value: a number, a text, a tuple of them or an array."""
    held = [key for key in ("f", "i", "s", "t", "floats", "ints", "strings") if key in one]
    if len(held) > 1:
        raise ModelRefused(EXTRA, "an attribute with two values", "one value in each attribute")
    key = held[0] if held else "ints"
    values = one.get(key, [])
    if key == "t":
        return tensor_array(values[0])
    if key in ("s", "strings"):
        values = [_text(each) for each in values]
    return values[0] if key in ("f", "i", "s") else tuple(values)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelRefused(FORMAT, "bytes in place of a text", "text in UTF-8") from None


def _inputs(graph: Message, constants: dict[str, Array], columns: Sequence[str]) -> tuple[Input, ...]:
    names = [_first(one, "name", "") for one in graph.get("input", ()) if _first(one, "name", "") not in constants]
    if len(names) == 1 and names[0] not in columns:
        return (Input(names[0], tuple(range(len(columns)))),)
    if len(set(names)) != len(names) or not set(names) <= set(columns):
        accepted = "one matrix of the declared columns, or one input for each, of its name"
        raise ModelRefused(EXTRA, "an input that is no declared column", accepted)
    return tuple(Input(name, (list(columns).index(name),)) for name in names)


def _check_used(graph: Message, constants: dict[str, Array]) -> None:
    """Refuse a constant that no node reads, and a node whose result goes nowhere."""
    read_ = {name for node in graph.get("node", ()) for name in node.get("input", ())}
    wanted = {_first(one, "name", "") for one in graph.get("output", ())}
    if set(constants) - read_:
        raise ModelRefused(EXTRA, "a constant that no node uses", _NO_EXTRA)
    for node in graph.get("node", ()):
        if not set(node.get("output", ())) & (read_ | wanted):
            raise ModelRefused(EXTRA, "a node whose result nothing uses", _NO_EXTRA)


def _output(graph: Message, steps: Sequence[Step], classes: dict[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """Return the value that is the model's score: probabilities before labels, else the one number that it gives."""
    names = [_first(one, "name", "") for one in graph.get("output", ())]
    made = {name for step in steps for name in step.outputs}
    if not set(names) <= made:
        raise ModelRefused(FORMAT, "an output that nothing gives", "outputs of its nodes")
    if len(names) == 2:
        return names[1], classes.get(names[1]) or classes.get(names[0], ())
    if len(names) == 1:
        return names[0], classes.get(names[0], ())
    raise ModelRefused(TYPE, "its outputs", "one score, or a label and then its probabilities")


def _canonical(model: Message, graph: Message, steps: Sequence[Step], columns: Sequence[str]) -> Message:
    """Return the model without anything that the program does not need: names are numbers, descriptions are gone."""
    names: dict[str, str] = {"": ""}

    def named(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    constants = {_first(one, "name", "") for one in graph.get("initializer", ())}
    kept = [one for one in graph["input"] if _first(one, "name", "") not in constants]
    for one in kept:
        name = _first(one, "name", "")
        names[name] = name if name in columns else "input"
    names |= {_first(one, "name", ""): f"output{place}" for place, one in enumerate(graph["output"], start=1)}
    trees = iter([step for step in steps if step.op == TREES])
    nodes = [
        {
            "input": [named(name) for name in node.get("input", ())],
            "output": [named(name) for name in node.get("output", ())], "op_type": node["op_type"],
            "attribute": _attributes(node, trees), "domain": node.get("domain", []),
        }
        for node in graph.get("node", ())
    ]  # fmt: skip
    tensors = [one | {"name": [named(_first(one, "name", ""))]} for one in graph.get("initializer", ())]
    fresh = {
        "node": nodes, "name": ["model"], "initializer": tensors, "input": [_value(one, named) for one in kept],
        "output": [_value(one, named) for one in graph["output"]],
    }  # fmt: skip
    return {
        "ir_version": model.get("ir_version", []), "producer_name": ["shuzha"], "graph": [fresh],
        "opset_import": sorted(model.get("opset_import", ()), key=str),
    }  # fmt: skip


def _attributes(node: Message, trees: Iterator[Step]) -> list[Message]:
    """Return a node's attributes in order of their names; an ensemble's are written from its table of nodes."""
    listed = list(node.get("attribute", ()))
    kind = _first(node, "op_type", "")
    if kind.startswith("TreeEnsemble"):
        listed = [one for one in listed if not str(one["name"][0]).startswith(("nodes_", "class_", "target_"))]
        listed += write_trees(next(trees), classifier=kind == "TreeEnsembleClassifier")
    return sorted(
        ({key: one[key] for key in one if key != "doc_string"} for one in listed), key=lambda one: one["name"]
    )


def _value(one: Message, named: Any) -> Message:
    """Return an input or output with its type; dimensions that have names lose them."""
    fresh: Message = {"name": [named(_first(one, "name", ""))]}
    kind = _first(one, "type", {})
    if "tensor_type" in kind:
        tensor = kind["tensor_type"][0]
        shape = [
            {"dim": [{"dim_value": dim["dim_value"]} if dim.get("dim_value") else {} for dim in each.get("dim", ())]}
            for each in tensor.get("shape", ())
        ]
        fresh["type"] = [{"tensor_type": [{"elem_type": tensor.get("elem_type", []), "shape": shape}]}]
    elif kind:
        fresh["type"] = [{key: kind[key] for key in ("sequence_type",) if key in kind}]
    return fresh


def _first(message: Message, key: str, default: Any) -> Any:
    return message.get(key, [default])[0] if message.get(key) else default
