"""A skops file written from what was read of one: accepted attributes alone, numbers for addresses, no dates."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.skops_nodes import SCHEMA, ElementKind, Estimator, Slice, TypeName
from sandbox.airlock.models.skops_types import COMMON, SETTINGS, TYPES

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_PROTOCOL: Final = 2
_WRITTEN_BY: Final = "0.16.0"
_UNSET: Final = ("random_state", "n_jobs", "memory")
_NODES: Final = ("impurity", "n_node_samples", "weighted_n_node_samples")


def write(top: Estimator) -> bytes:
    """Return the canonical file of a checked estimator, which skops of protocol 2 loads."""
    writer = _Writer()
    schema = writer.node(top) | {"protocol": _PROTOCOL, "_skops_version": _WRITTEN_BY}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (*writer.members.items(), (SCHEMA, json.dumps(schema).encode())):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class _Writer:
    """Gives each node a number of its own, and each array a member of that number."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self._count = 0

    def node(self, value: Any) -> dict[str, Any]:
        """Return the value as a node of the schema."""
        self._count += 1
        number = self._count
        match value:
            case Estimator():
                made = self._estimator(value)
            case TypeName() | ElementKind() | Slice():
                made = self._named(value)
            case np.ndarray() | np.generic():
                made = self._array(value, number)
            case list() | tuple():
                kind = type(value).__name__
                made = _head("builtins", kind, f"{kind.capitalize()}Node") | {
                    "content": [self.node(one) for one in value]
                }
            case dict():
                made = self._dict(value)
            case _:
                # JSON has one class for all its scalars here, as skops itself writes them.
                made = _head("builtins", "str", "JsonNode") | {"content": json.dumps(value), "is_json": True}
        return made | {"__id__": number}

    def _estimator(self, one: Estimator) -> dict[str, Any]:
        kind = TYPES[one.type]
        names = [name for name in one.nodes if name in kind.kept | kind.parts | COMMON | SETTINGS]
        values = {name: one.get(name) for name in names if not name.startswith("__")}
        values |= {name: None for name in _UNSET if name in values}
        module, _, name = one.type.rpartition(".")
        if name == "Tree":
            values["nodes"] = plain_nodes(np.asarray(values["nodes"]))
            values["values"] = plain_values(np.asarray(values["values"]), values["nodes"])
            args = {"__reduce__": {"args": self.node(one.get("__args__"))}}
            return _head(module, name, "TreeNode") | args | {"content": self.node(values)}
        return _head(module, name, "ObjectNode") | {"content": self.node(values)}

    def _named(self, one: TypeName | ElementKind | Slice) -> dict[str, Any]:
        if isinstance(one, TypeName):
            module, _, name = one.name.rpartition(".")
            return _head(module, name, "TypeNode")
        if isinstance(one, ElementKind):
            empty = self.node(np.empty(0, dtype=one.name)) if np.dtype(one.name) != object else self.node(_nothing())
            return _head("numpy", "dtype", "DTypeNode") | {"content": empty}
        return _head("builtins", "slice", "SliceNode") | {
            "content": {"start": one.start, "stop": one.stop, "step": None}
        }  # fmt: skip

    def _array(self, value: Any, number: int) -> dict[str, Any]:
        if value.dtype == object:
            shape = self.node(tuple(int(one) for one in value.shape))
            content = self.node(list(value.ravel()))["content"]
            return _head("numpy", "ndarray", "NdArrayNode") | {"type": "json", "content": content, "shape": shape}
        name = f"{number}.npy"
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(value).reshape(value.shape), allow_pickle=False)
        self.members[name] = buffer.getvalue()
        kind = "ndarray" if isinstance(value, np.ndarray) else type(value).__name__
        return _head("numpy", kind, "NdArrayNode") | {"type": "numpy", "file": name}

    def _dict(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        keys = [_head("builtins", type(one).__name__, "TypeNode") | {"__id__": 0} for one in value]
        kinds = _head("builtins", "list", "ListNode") | {"content": keys, "__id__": 0}
        content = {str(name): self.node(one) for name, one in value.items()}
        return _head("builtins", "dict", "DictNode") | {"content": content, "key_types": kinds}


def plain_nodes(nodes: Any) -> Any:
    """Return a tree's nodes with what prediction does not need made constant: counts, impurities, leaves' splits."""
    made = np.zeros(len(nodes), dtype=nodes.dtype)
    leaf = nodes["left_child"] < 0
    for name in nodes.dtype.names:
        if name not in _NODES:
            made[name] = nodes[name]
    for name, value in (("left_child", -1), ("right_child", -1), ("feature", -2), ("threshold", -2.0)):
        made[name] = np.where(leaf, value, nodes[name])
    if "missing_go_to_left" in nodes.dtype.names:
        made["missing_go_to_left"] = np.where(leaf, 0, nodes["missing_go_to_left"])
    return made


def plain_values(values: Any, nodes: Any) -> Any:
    """Return a tree's values with those of branches, which prediction does not need, made zero."""
    return np.where((nodes["left_child"] < 0)[:, None, None], values, 0.0)


def _nothing() -> Any:
    return np.empty(0, dtype=object)


def _head(module: str, name: str, loader: str) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader}
