"""Models: who is held out of a training, and how a fitted model is declared with what it was trained on."""

from __future__ import annotations

import hashlib
import importlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from workbench.errors import WorkbenchError
from workbench.specifications import Table, conditions

_BITS = 1 << 64
_NUMPY = {"float64": "F64", "float32": "F32", "float16": "F16"}


class Model:
    """A fitted model as a file, with the closed specification of its training; `workbench.export` declares it."""

    def __init__(self, specification: dict[str, Any], content: bytes) -> None:
        self.specification = specification
        self.content = content

    def __repr__(self) -> str:
        told = self.specification
        return f"<model of {told['target']} by {', '.join(told['columns'])}: {len(self.content)} bytes>"


def split(
    release: str, *, by: str | None, share: float = 0.3, word: str = "", where: Sequence[Any] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows to train on and those held out: a `share` of people, drawn by the hash of column `by`.

    Example: `train, held = workbench.split("social_insurance", by="resident_id", share=0.3)`

    `by` is the column that says whose a row is (None: each row is somebody). The platform draws the same people and
    compares what the model knows of both; a model that has seen the held-out rows is blocked.
    """
    if not 0.1 <= share <= 0.5:
        raise WorkbenchError("cannot hold out this share", rule="workbench.split", accepted="0.1 to 0.5")
    rows = Table(release, (), where=conditions(where)).scan().collect()
    keys = pl.Series(range(rows.height)) if by is None else rows[by]
    names = keys.cast(pl.String)
    held = {name: is_held_out(name, share, word) for name in names.unique().drop_nulls().to_list()}
    chosen = names.replace_strict(held, default=False, return_dtype=pl.Boolean)
    return rows.filter(~chosen & names.is_not_null()), rows.filter(chosen)


def is_held_out(key: str, share: float, word: str) -> bool:
    """Return whether the person of this key is held out: SHA-256 of word, a zero byte and key, below the share."""
    return int.from_bytes(hashlib.sha256(f"{word}\0{key}".encode()).digest()[:8], "big") < int(share * _BITS)


def model(
    obj: Any, *, release: str, columns: Sequence[str], target: str, task: str, holdout: float = 0.3, word: str = "",
    where: Sequence[Any] = (), sensitive: Sequence[str] = (), classes: Sequence[str] = (),
    architecture: Sequence[Mapping[str, Any]] = (), privacy: Mapping[str, Any] | None = None,
) -> Model:  # fmt: skip
    """Return a fitted model with what it was trained on, to be declared by `workbench.export`.

    Example: `workbench.model(fitted, release="people", columns=["age"], target="late", task="classification")`

    `obj` is a fitted scikit-learn estimator (written as skops), an ONNX model, a mapping of arrays (written as
    safetensors, with `architecture`), a mapping of layers (`{"layers": …}`) or the bytes of a file. `task` is
    classification or regression, `sensitive` are columns whose values must not be inferred, `privacy` what a training
    with differential privacy spends. Nothing is ever unpickled: a pickle is refused here and at the airlock.
    """
    if task not in ("classification", "regression"):
        accepted = "classification or regression"
        raise WorkbenchError(f"cannot declare a model of task {task!r}", rule="airlock.model", accepted=accepted)
    specification: dict[str, Any] = {
        "kind": "model", "release": release, "columns": list(columns), "target": target, "task": task,
        "holdout": {"share": holdout, "word": word}, "where": list(conditions(where)), "sensitive": list(sensitive),
        "classes": [str(one) for one in classes], "architecture": [dict(one) for one in architecture],
        "privacy": None if privacy is None else dict(privacy),
    }  # fmt: skip
    return Model(specification, _written(obj))


def _written(obj: Any) -> bytes:
    """Return the model as the bytes of a file of an accepted format."""
    if isinstance(obj, bytes | bytearray):
        return bytes(obj)
    if hasattr(obj, "SerializeToString"):
        return bytes(obj.SerializeToString())
    if isinstance(obj, Mapping) and "layers" in obj:
        return json.dumps({"format": "shuzha-model/1", **obj}).encode()
    if isinstance(obj, Mapping):
        return _tensors(obj)
    if hasattr(obj, "get_params"):
        try:
            # Of the analysts' own environment: this library brings polars alone.
            skops = importlib.import_module("skops.io")
        except ImportError:
            raise WorkbenchError(
                "cannot write a scikit-learn model: skops is not in this environment", rule="workbench.model",
                accepted="skops on the approved list, or the model as ONNX bytes",
            ) from None  # fmt: skip
        return bytes(skops.dumps(obj))
    raise WorkbenchError(
        f"cannot declare a model of type {type(obj).__name__}", rule="workbench.model",
        accepted="a scikit-learn estimator, an ONNX model, arrays by name, layers, or the bytes of a file",
    )  # fmt: skip


def _tensors(arrays: Mapping[str, Any]) -> bytes:
    """Return arrays as a safetensors file, without metadata."""
    header, parts, place = {}, [], 0
    for name, one in arrays.items():
        kind = _NUMPY.get(str(getattr(one, "dtype", "")))
        if kind is None:
            accepted = "arrays of float64, float32 or float16"
            raise WorkbenchError(f"cannot write {name!r}", rule="workbench.model", accepted=accepted)
        data = one.tobytes()
        header[name] = {"dtype": kind, "shape": list(one.shape), "data_offsets": [place, place + len(data)]}
        parts.append(data)
        place += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
