"""PMML: regressions, trees and sums of trees, read from a short list of elements and written anew from them.

Source: PMML 4.4 (dmg.org): RegressionModel, TreeModel, MiningModel with Segmentation. Extensions, documentation and
every element that is not listed are refused; the header is left out of what is written.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as Xml
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.program import TREES, Input, Program, Step
from sandbox.airlock.models.problems import EXTRA, FORMAT, STORES, TYPE, ModelRefused, Read
from sandbox.airlock.models.skops_steps import join
from sandbox.airlock.models.trees import check_trees

_STORING: Final = frozenset({
    "NearestNeighborModel", "SupportVectorMachineModel", "GaussianProcessModel", "AnomalyDetectionModel",
    "TimeSeriesModel",
})  # fmt: skip
_ATTRIBUTES: Final = {
    "PMML": {"version"}, "DataDictionary": set(), "DataField": {"name", "optype", "dataType"}, "Value": {"value"},
    "MiningSchema": set(), "MiningField": {"name", "usageType"}, "True": set(),
    "RegressionModel": {"functionName", "normalizationMethod"}, "RegressionTable": {"intercept", "targetCategory"},
    "NumericPredictor": {"name", "coefficient"}, "CategoricalPredictor": {"name", "value", "coefficient"},
    "TreeModel": {"functionName", "splitCharacteristic"}, "Node": {"score", "id"},
    "SimplePredicate": {"field", "operator", "value"}, "ScoreDistribution": {"value", "recordCount", "probability"},
    "MiningModel": {"functionName"}, "Segmentation": {"multipleModelMethod"}, "Segment": {"id"},
}  # fmt: skip
_IGNORED: Final = frozenset({"Header", "Output", "ModelStats", "Targets"})
_SETTINGS: Final = frozenset({
    "modelName", "algorithmName", "missingValueStrategy", "noTrueChildStrategy", "recordCount", "numberOfFields",
    "exponent", "defaultChild", "isScorable", "numberOfTables", "weight",
})  # fmt: skip
_NUMBERS: Final = frozenset({"intercept", "coefficient", "probability"})
_NORMAL: Final = {"none": "Identity", "simplemax": "Share", "softmax": "Softmax", "logit": "Sigmoid"}


def read(data: bytes, columns: Sequence[str]) -> Read:
    """Return the model in these bytes; raises ModelRefused for an element or attribute that is not listed."""
    if b"<!" in data.replace(b"<!--", b""):
        raise ModelRefused(EXTRA, "a declaration of types or entities", "elements alone")
    try:
        root = Xml.fromstring(data)  # noqa: S314 - see above
    except (Xml.ParseError, ValueError, LookupError):
        raise ModelRefused(FORMAT, "its markup", "sound PMML") from None
    fresh = _checked(root, list(columns), 0)
    models = [one for one in fresh if one.tag in ("RegressionModel", "TreeModel", "MiningModel")]
    if fresh.tag != "PMML" or len(models) != 1:
        raise ModelRefused(TYPE, "its models", "one RegressionModel, TreeModel or MiningModel of trees")
    try:
        steps, output, classes, family = _model(models[0], list(columns))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(FORMAT, "an element that is not whole", "sound PMML") from None
    given = (Input("input", tuple(range(len(columns)))),)
    fresh.set("xmlns", "http://www.dmg.org/PMML-4_4")
    written = Xml.tostring(fresh, encoding="utf-8", xml_declaration=True)
    return Read("pmml", Program(given, tuple(steps), output, classes, {}, family), written, (models[0].tag,))


def _checked(one: Any, columns: list[str], deep: int) -> Any:
    """Return the element with its listed parts alone, without text; refuse what is not listed."""
    tag = str(one.tag).rpartition("}")[2]
    if tag in _STORING:
        raise ModelRefused(STORES, tag, "RegressionModel, TreeModel, MiningModel of trees")
    if tag not in _ATTRIBUTES or deep > 80:
        shown = tag if tag.isalpha() and len(tag) <= 40 else "without a plain name"
        raise ModelRefused(EXTRA if tag == "Extension" else TYPE, f"element {shown}", ", ".join(sorted(_ATTRIBUTES)))
    if (one.text or "").strip() or (one.tail or "").strip():
        raise ModelRefused(EXTRA, f"text in {tag}", "elements and attributes alone")
    if set(one.attrib) - _ATTRIBUTES[tag] - _SETTINGS - ({"xmlns"} if tag == "PMML" else set()):
        raise ModelRefused(EXTRA, f"an attribute of {tag}", ", ".join(sorted(_ATTRIBUTES[tag] | _SETTINGS)))
    fresh = Xml.Element(tag, {key: one.attrib[key] for key in sorted(_ATTRIBUTES[tag] - {"id"}) if key in one.attrib})
    if one.get("exponent", "1") not in ("1", "1.0") or one.get("weight", "1") not in ("1", "1.0"):
        raise ModelRefused(TYPE, f"exponents or weights in {tag}", "exponents and weights of one")
    for each in one:
        if str(each.tag).rpartition("}")[2] not in _IGNORED:
            fresh.append(_checked(each, columns, deep + 1))
    _settle(fresh, columns)
    fresh.attrib = dict(sorted(fresh.attrib.items()))
    return fresh


def _settle(one: Any, columns: list[str]) -> None:
    """Give an element its one form: numbers in the shortest way, fields that are no columns as `target`, shares."""
    for key in _NUMBERS & set(one.attrib):
        one.set(key, repr(_plain(one.get(key))))
    if one.tag == "SimplePredicate" or (one.tag == "Node" and _is_plain(one.get("score"))):
        key = "value" if one.tag == "SimplePredicate" else "score"
        one.set(key, repr(_plain(one.get(key))))
    if one.tag in ("DataField", "MiningField") and one.get("name") not in columns:
        one.set("name", "target")
    for each in one.findall("Value"):
        one.remove(each)
    if len({each.get("name") for each in one.findall("DataField")}) != len(one.findall("DataField")):
        raise ModelRefused(EXTRA, "fields that are no declared columns", "the columns, and one target")
    shares = one.findall("ScoreDistribution")
    try:
        total = sum(float(each.get("probability") or each.get("recordCount")) for each in shares)
        for each in shares:
            each.set("probability", repr(float(each.get("probability") or each.get("recordCount")) / total))
            each.attrib = dict(sorted((key, value) for key, value in each.attrib.items() if key != "recordCount"))
    except (TypeError, ValueError, ZeroDivisionError):
        raise ModelRefused(FORMAT, "a ScoreDistribution", "shares or counts") from None


def _is_plain(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _plain(text: str | None) -> float:
    if not _is_plain(text) or not math.isfinite(float(text or "")):
        raise ModelRefused(FORMAT, "a number", "finite numbers")
    return float(text or "")


def _model(one: Any, columns: list[str]) -> tuple[list[Step], str, tuple[str, ...], str]:
    if one.tag == "RegressionModel":
        return _regression(one, columns)
    if one.tag == "TreeModel":
        trees, method = [one], "average"
    else:
        segmentation = one.find("Segmentation")
        method = segmentation.get("multipleModelMethod")
        if method not in ("average", "sum") or any(each.find("True") is None for each in segmentation):
            raise ModelRefused(TYPE, "how trees are put together", "average or sum of all")
        trees = [each.find("TreeModel") for each in segmentation]
    classes: tuple[str, ...] = ()
    if one.get("functionName") == "classification":
        classes = tuple(sorted({each.get("value") for tree in trees for each in tree.iter("ScoreDistribution")}))
        if not classes:
            raise ModelRefused(TYPE, "a tree of labels alone", "leaves with a ScoreDistribution")
    table = join([_tree(tree.find("Node"), columns, classes) for tree in trees])
    check_trees(table)
    aggregate = "sum" if method == "sum" else "mean"
    return [Step(TREES, ("input",), ("score",), table | {"aggregate": aggregate})], "score", classes, "trees"


def _regression(one: Any, columns: list[str]) -> tuple[list[Step], str, tuple[str, ...], str]:
    tables = one.findall("RegressionTable")
    numbers = [
        [each.get("name"), float(each.get("coefficient"))]
        for table in tables
        for each in table.findall("NumericPredictor")
    ]
    weights = np.zeros((len(columns), len(tables)))
    bias = np.asarray([_plain(table.get("intercept")) for table in tables])
    known: list[tuple[int, str]] = sorted({
        (columns.index(each.get("name")), each.get("value"))
        for table in tables for each in table.findall("CategoricalPredictor")
    })  # fmt: skip
    shown = np.zeros((len(known), len(tables)))
    for at, table in enumerate(tables):
        for each in table.findall("NumericPredictor"):
            weights[columns.index(each.get("name")), at] = _plain(each.get("coefficient"))
        for each in table.findall("CategoricalPredictor"):
            shown[known.index((columns.index(each.get("name")), each.get("value"))), at] = _plain(
                each.get("coefficient")
            )
    used = sorted({columns.index(str(name)) for name, _ in numbers})
    steps = [
        Step("Take", ("input",), ("numbers",), {"columns": np.asarray(used, np.int64)}),
        Step("Affine", ("numbers",), ("raw",), {"weights": weights[used], "bias": bias}),
    ]
    raw = "raw"
    if known:
        place, category = np.asarray([at for at, _ in known]), np.asarray([value for _, value in known], dtype=object)
        steps += [
            Step("OneHot", ("input",), ("shown",), {"place": place, "category": category}),
            Step("MatMul", ("shown", "weights"), ("part",)), Step("Add", ("raw", "part"), ("both",)),
        ]  # fmt: skip
        steps[3] = Step("Affine", ("shown",), ("part",), {"weights": shown, "bias": np.zeros(len(tables))})
        raw = "both"
    if one.get("functionName") != "classification":
        return steps, raw, (), "linear"
    classes = tuple(str(table.get("targetCategory")) for table in tables)
    steps.append(Step(_NORMAL[one.get("normalizationMethod", "none")], (raw,), ("score",)))
    if one.get("normalizationMethod") == "logit" and len(classes) == 2:
        # The first table's score is a probability, and the second's is what is left of one.
        steps += [
            Step("Take", ("score",), ("first",), {"columns": np.zeros(1, np.int64)}),
            Step("Two", ("first",), ("scores",)),
        ]
        return steps, "scores", classes[::-1], "linear"
    return steps, "score", classes, "linear"


def _tree(root: Any, columns: list[str], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return a tree of binary splits as a table of nodes: each branch's first child is its left."""
    rows: list[list[Any]] = []
    values: list[list[float]] = []

    def add(node: Any) -> int:
        place = len(rows)
        children = node.findall("Node")
        rows.append([0, 0.0, -1, -1, False])
        values.append(_scores(node, classes) if not children else [0.0] * max(1, len(classes)))
        if children:
            first, second = (each.find("SimplePredicate") for each in children)
            operator = first.get("operator")
            other = {"lessOrEqual": "greaterThan", "lessThan": "greaterOrEqual"}[operator]
            same = (second.get("field"), second.get("value")) == (first.get("field"), first.get("value"))
            if second.get("operator") != other or not same:
                raise ModelRefused(
                    TYPE, "a split of a tree", "lessOrEqual and greaterThan, or lessThan and greaterOrEqual"
                )
            threshold = _plain(first.get("value"))
            if operator == "lessThan":
                threshold = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
            rows[place] = [columns.index(first.get("field")), threshold, add(children[0]), add(children[1]), False]
        return place

    add(root)
    turned = list(zip(*rows, strict=True))
    names = ("feature", "threshold", "left", "right", "missing")
    table: dict[str, Any] = {name: np.asarray(one) for name, one in zip(names, turned, strict=True)}
    table["strict"] = np.zeros(len(rows), bool)
    return table | {"value": np.asarray(values), "roots": np.zeros(1, np.int64)}


def _scores(leaf: Any, classes: tuple[str, ...]) -> list[float]:
    if not classes:
        return [_plain(leaf.get("score"))]
    given = {
        each.get("value"): each.get("probability") or each.get("recordCount")
        for each in leaf.findall("ScoreDistribution")
    }
    counts = [_plain(given.get(name, "0")) for name in classes]
    total = sum(counts)
    if total <= 0:
        raise ModelRefused(FORMAT, "a leaf without scores", "a ScoreDistribution in each leaf")
    return [one / total for one in counts]
