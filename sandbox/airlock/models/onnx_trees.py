"""Tree ensembles of ONNX: read into one table of nodes, and written from it, so that nothing else of them is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.program import TREES, Array, Step
from sandbox.airlock.models.onnx_operators import Made, Node, class_names, post
from sandbox.airlock.models.problems import EXTRA, FORMAT, TYPE, ModelRefused
from sandbox.airlock.models.trees import check_trees

_NODES: Final = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_hitrates", "nodes_modes",
    "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true", "base_values", "post_transform",
)  # fmt: skip
_CLASSES: Final = ("class_treeids", "class_nodeids", "class_ids", "class_weights", "classlabels_strings",
                   "classlabels_int64s")  # fmt: skip
_TARGETS: Final = (
    "target_treeids",
    "target_nodeids",
    "target_ids",
    "target_weights",
    "n_targets",
    "aggregate_function",
)


def read_trees(node: Node) -> Made:
    """Return the ensemble as a step over one table of nodes, and what its scores go through after it."""
    classifier = node.kind == "TreeEnsembleClassifier"
    prefix = "class" if classifier else "target"
    names = class_names(node) if classifier else ()
    width = len(names) if classifier else int(node.attributes.get("n_targets", 1))
    table, single = _table(node.attributes, prefix, width)
    given = node.outputs[-1]
    steps = [Step(TREES, node.inputs, (f"{given}/trees",), table)]
    transform = str(node.attributes.get("post_transform", "NONE"))
    # Two classes of which the file speaks of one alone: the other's score is what is left of one.
    two = classifier and width == 2 and single
    steps += post(transform, f"{given}/trees", f"{given}/one" if two else given)
    if two:
        steps.append(Step("Two", (f"{given}/one",), (given,)))
    if len(node.outputs) == 2:
        steps.append(Step("Identity", (given,), (node.outputs[0],)))
    used = frozenset(_NODES + (_CLASSES if classifier else _TARGETS))
    return Made(tuple(steps), used, {given: names} if names else {})


def _table(attributes: Mapping[str, Any], prefix: str, width: int) -> tuple[dict[str, Any], bool]:
    """Return the nodes as one table, and whether the leaves speak of one score alone."""
    trees, nodes = attributes["nodes_treeids"], attributes["nodes_nodeids"]
    place = {key: at for at, key in enumerate(zip(trees, nodes, strict=True))}
    count = len(place)
    if count != len(nodes):
        raise ModelRefused(EXTRA, "a node of a tree that is there twice", "each node once")
    modes = attributes["nodes_modes"]
    if not set(modes) <= {"BRANCH_LEQ", "BRANCH_LT", "LEAF"}:
        raise ModelRefused(TYPE, "a comparison in a tree", "BRANCH_LEQ or BRANCH_LT")
    leaf = np.asarray([mode == "LEAF" for mode in modes])
    threshold = np.asarray(attributes["nodes_values"], np.float64)
    strict = np.asarray([mode == "BRANCH_LT" for mode in modes])
    below = np.nextafter(threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    made = {
        "feature": np.asarray(attributes["nodes_featureids"], np.int64),
        "threshold": np.where(strict, below, threshold),
        "left": _children(attributes["nodes_truenodeids"], trees, place, leaf),
        "right": _children(attributes["nodes_falsenodeids"], trees, place, leaf),
        "missing": np.asarray(attributes.get("nodes_missing_value_tracks_true") or np.zeros(count), bool),
        "strict": strict & ~leaf,
    }  # fmt: skip
    return _valued(made, attributes, prefix, width, place, leaf)


def _valued(
    made: dict[str, Any], attributes: Mapping[str, Any], prefix: str, width: int, place: Mapping[Any, int], leaf: Array
) -> tuple[dict[str, Any], bool]:
    owners = [
        place.get(key, -1) for key in zip(attributes[f"{prefix}_treeids"], attributes[f"{prefix}_nodeids"], strict=True)
    ]
    scores = np.asarray(attributes[f"{prefix}_ids"], np.int64)
    weights = np.asarray(attributes[f"{prefix}_weights"], np.float64)
    if not len(owners) == len(scores) == len(weights) or min(owners, default=-1) < 0 or not leaf[owners].all():
        raise ModelRefused(FORMAT, "the weight of a leaf that is not there", "weights of leaves")
    if scores.min() < 0 or scores.max() >= width or len(set(zip(owners, scores.tolist(), strict=True))) != len(owners):
        raise ModelRefused(EXTRA, "a leaf with more weights than scores", "one weight for each score")
    single = prefix == "class" and len(set(scores.tolist())) == 1 and width == 2
    value = np.zeros((len(leaf), 1 if single else width))
    value[owners, 0 if single else scores] = weights
    base = np.asarray(attributes.get("base_values") or (0.0,), np.float64)
    if len(base) not in (1, value.shape[1]):
        raise ModelRefused(FORMAT, "base values", "one, or one for each score")
    mean = str(attributes.get("aggregate_function", "SUM"))
    if mean not in ("SUM", "AVERAGE"):
        raise ModelRefused(TYPE, "how trees are put together", "SUM or AVERAGE")
    children = np.concatenate([made["left"], made["right"]])
    roots = np.setdiff1d(np.arange(len(leaf)), children[children >= 0])
    table = made | {
        "value": value, "roots": roots, "base": base, "aggregate": "mean" if mean == "AVERAGE" else "sum"
    }  # fmt: skip
    check_trees(table)
    if len(roots) != len({key[0] for key in place}):
        raise ModelRefused(EXTRA, "nodes of a tree that its root does not lead to", "one root for each tree")
    return table, single


def _children(listed: Any, trees: Any, place: Mapping[Any, int], leaf: Array) -> Array:
    found = [
        -1 if ended else place.get((tree, child), -2) for tree, child, ended in zip(trees, listed, leaf, strict=True)
    ]
    if -2 in found:
        raise ModelRefused(FORMAT, "a branch to a node that is not there", "branches within a tree")
    return np.asarray(found, np.int64)


def write_trees(step: Step, *, classifier: bool) -> list[dict[str, Any]]:
    """Return the attributes of an ensemble, written from the table of its nodes and from nothing else."""
    table: Mapping[str, Any] = step.attributes
    order, tree_of = _ordered(table)
    number = {node: at for at, node in enumerate(order)}
    leaf = [int(table["left"][node]) < 0 for node in order]
    ends = [node for node, ended in zip(order, leaf, strict=True) if ended]
    strict = np.asarray(table["strict"], bool)
    threshold = np.where(
        strict, np.nextafter(np.asarray(table["threshold"], np.float32), np.float32(np.inf)), table["threshold"]
    )
    value = np.asarray(table["value"])
    modes = [
        b"LEAF" if ended else b"BRANCH_LT" if strict[node] else b"BRANCH_LEQ"
        for node, ended in zip(order, leaf, strict=True)
    ]
    prefix = "class" if classifier else "target"
    branches = list(zip(order, leaf, strict=True))
    missing = np.asarray(table["missing"])

    def child(side: str) -> list[int]:
        return [0 if ended else number[int(table[side][node])] for node, ended in branches]

    listed: dict[str, tuple[str, list[Any]]] = {
        "nodes_treeids": ("ints", [tree_of[node] for node in order]),
        "nodes_nodeids": ("ints", [number[node] for node in order]),
        "nodes_featureids": ("ints", [0 if ended else int(table["feature"][node]) for node, ended in branches]),
        "nodes_values": ("floats", [0.0 if ended else float(threshold[node]) for node, ended in branches]),
        "nodes_modes": ("strings", modes),
        "nodes_truenodeids": ("ints", child("left")),
        "nodes_falsenodeids": ("ints", child("right")),
        "nodes_missing_value_tracks_true": ("ints", [int(missing[node] and not ended) for node, ended in branches]),
        f"{prefix}_treeids": ("ints", [tree_of[node] for node in ends for _ in range(value.shape[1])]),
        f"{prefix}_nodeids": ("ints", [number[node] for node in ends for _ in range(value.shape[1])]),
        f"{prefix}_ids": ("ints", [score for _ in ends for score in range(value.shape[1])]),
        f"{prefix}_weights": ("floats", [float(one) for node in ends for one in value[node]]),
    }  # fmt: skip
    kinds = {"ints": 7, "floats": 6, "strings": 8}
    return [{"name": [name], kind: values, "type": [kinds[kind]]} for name, (kind, values) in listed.items()]


def _ordered(table: Mapping[str, Any]) -> tuple[list[int], dict[int, int]]:
    """Return the nodes of each tree from its root down, and the number of the tree that each is of."""
    order: list[int] = []
    tree_of: dict[int, int] = {}
    for tree, root in enumerate(np.asarray(table["roots"]).tolist()):
        waiting = [root]
        while waiting:
            node = waiting.pop()
            order.append(node)
            tree_of[node] = tree
            if int(table["left"][node]) >= 0:
                waiting += [int(table["right"][node]), int(table["left"][node])]
    return order, tree_of
