"""A skops file as plain values: a zip of `schema.json` and arrays, read by its own short grammar and never loaded.

Source: the format of skops.io (protocol 0 to 2). What could run code when it is loaded (functions, methods, partials,
constructors, bytes) is refused wherever it lies, and so is a member that is no plain array.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.problems import CODE, EXTRA, FORMAT, ModelRefused

MOST_BYTES: Final = 64 * 1024**2
MOST_NODES: Final = 400_000
SCHEMA: Final = "schema.json"
_PLAIN: Final = "arrays and estimators alone"
_PASSIVE: Final = frozenset({
    "ObjectNode", "DictNode", "DefaultDictNode", "ListNode", "TupleNode", "SetNode", "JsonNode", "NdArrayNode",
    "TypeNode", "SliceNode", "DTypeNode", "TreeNode", "LossNode", "RandomStateNode", "RandomGeneratorNode",
})  # fmt: skip
_MEMBER: Final = re.compile(r"[0-9a-zA-Z_-]{1,40}\.npy")


@dataclass(frozen=True, slots=True)
class Estimator:
    """An object of the file: the full name of its type, and its attributes, each read when it is asked for."""

    type: str
    nodes: Mapping[str, Any]
    read: Callable[[Any], Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the attribute's value; `default` where it has none."""
        return self.read(self.nodes[name]) if name in self.nodes else default


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type that is named and not made, such as numpy.float64."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of columns."""

    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class ElementKind:
    """An element type of arrays, by numpy's short name."""

    name: str


def open_file(data: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the object at the top of a skops file and its schema; raises ModelRefused for what is no such file."""
    members = _members(data)
    try:
        schema = json.loads(members.pop(SCHEMA))
    except (ValueError, RecursionError):
        raise ModelRefused(FORMAT, SCHEMA, "a skops file") from None
    used = check_nodes(schema)
    if set(members) - used:
        raise ModelRefused(EXTRA, "members that the schema does not name", _PLAIN)
    arrays = {name: _array(content) for name, content in members.items()}
    return make_reader(arrays)(schema), schema


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            names = [one.filename for one in listed]
            if SCHEMA not in names or len(set(names)) != len(names):
                raise ModelRefused(FORMAT, "its members", "a skops file: a schema, and each array once")
            if sum(one.file_size for one in listed) > MOST_BYTES:
                raise ModelRefused(FORMAT, "its size when unpacked", f"at most {MOST_BYTES} bytes")
            if any(name != SCHEMA and not _MEMBER.fullmatch(name) for name in names):
                raise ModelRefused(CODE, "a member that is no array", _PLAIN)
            return {one.filename: archive.read(one) for one in listed}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(FORMAT, "the archive", "a sound skops file") from None


def _array(content: bytes) -> Any:
    """Return the array of a member; refuses one of objects, which numpy would unpickle, and bytes after its end."""
    file = io.BytesIO(content)
    try:
        array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=10_000)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError, TypeError):
        raise ModelRefused(CODE, "a member that is no plain array, such as a pickle", _PLAIN) from None
    if file.read(1):
        raise ModelRefused(EXTRA, "bytes after the end of an array", "arrays and nothing after them")
    return array


def check_nodes(schema: Any) -> set[str]:
    """Return the members that the schema names; refuse a node that runs code or makes what is not listed."""
    used: set[str] = set()
    for count, node in enumerate(_nodes(schema)):
        if count > MOST_NODES:
            raise ModelRefused(FORMAT, "its number of nodes", f"at most {MOST_NODES}")
        loader = node.get("__loader__")
        if loader not in _PASSIVE:
            shown = loader if isinstance(loader, str) and loader.isalpha() and len(loader) < 40 else "unknown"
            raise ModelRefused(CODE, f"a node of kind {shown}", _PLAIN)
        if isinstance(node.get("file"), str):
            used.add(node["file"])
    return used


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "__loader__" in one or "__class__" in one:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def make_reader(arrays: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return the function from a node to its value, over these arrays."""

    def read(node: Any) -> Any:
        try:
            return _READERS[node["__loader__"]](node, read, arrays)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            if isinstance(error, ModelRefused):
                raise
            raise ModelRefused(FORMAT, "a node that is not whole", "a sound skops file") from None

    return read


def _read_json(node: Any, *_: Any) -> Any:
    value = json.loads(node["content"])
    if isinstance(value, dict | list):
        raise ModelRefused(EXTRA, "a list in place of a number or a text", _PLAIN)
    return value


def _read_array(node: Any, read: Any, arrays: Any) -> Any:
    if node.get("type") == "numpy":
        return arrays[node["file"]]
    content = node["content"]
    items = [read(one) for one in content] if isinstance(content, list) else read(content)
    shape = [int(one) for one in read(node["shape"])] if node.get("shape") else [len(items)]
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made.reshape(shape)


def _read_object(node: Any, read: Any, _: Any) -> Estimator:
    content = node.get("content")
    return Estimator(type_of(node), content["content"] if isinstance(content, dict) else {}, read)


def _read_tree(node: Any, read: Any, _: Any) -> Estimator:
    return Estimator(type_of(node), node["content"]["content"] | {"__args__": node["__reduce__"]["args"]}, read)


def type_of(node: Any) -> str:
    """Return the full name of a node's type, or `?` for one that is no name."""
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]{0,120}", name) else "?"


_READERS: Final[Mapping[str, Callable[[Any, Any, Any], Any]]] = {
    "JsonNode": _read_json,
    "NdArrayNode": _read_array,
    "ObjectNode": _read_object,
    "TreeNode": _read_tree,
    "ListNode": lambda node, read, _: [read(one) for one in node["content"]],
    "TupleNode": lambda node, read, _: tuple(read(one) for one in node["content"]),
    "DictNode": lambda node, read, _: {name: read(one) for name, one in node["content"].items()},
    "TypeNode": lambda node, *_: TypeName(type_of(node)),
    "DTypeNode": lambda node, read, _: ElementKind(read(node["content"]).dtype.str),
    "SliceNode": lambda node, *_: Slice(node["content"]["start"], node["content"]["stop"]),
}
