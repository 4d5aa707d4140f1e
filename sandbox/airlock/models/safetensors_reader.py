"""safetensors: a header and raw numbers. The declared architecture says which tensors are which layer.

Source: the format of huggingface/safetensors. Tensors must fill the file without gaps, in order and without overlap; a
tensor that the architecture does not use is refused, and so is metadata.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from sandbox.airlock.models import layers
from sandbox.airlock.models.inside.program import Array
from sandbox.airlock.models.problems import EXTRA, FORMAT, TYPE, ModelRefused, Read
from sandbox.airlock.models.specification import Layer

_TYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
MOST_HEADER: Final = 1_000_000


def find_header(data: bytes) -> int | None:
    """Return the length of the header where these bytes begin as a safetensors file does, else None."""
    if len(data) < 10:
        return None
    size = int(struct.unpack("<Q", data[:8])[0])
    return size if 2 <= size <= min(MOST_HEADER, len(data) - 8) and data[8:9] == b"{" else None


def read(data: bytes, columns: Sequence[str], architecture: Sequence[Layer], classes: tuple[str, ...]) -> Read:
    """Return the model in these bytes; raises ModelRefused without an architecture and for a tensor beyond it."""
    tensors = _tensors(data)
    if not architecture:
        accepted = "`architecture`: for each layer its weight, bias and activation; or the same model as ONNX"
        raise ModelRefused(TYPE, "weights without an architecture", accepted)
    used = [name for one in architecture for name in (one.weight, one.bias) if name]
    if set(tensors) != set(used) or len(set(used)) != len(used):
        raise ModelRefused(EXTRA, "a tensor that no layer uses, or uses twice", "the tensors of the layers, each once")
    built = []
    for one in architecture:
        weights = tensors[one.weight] if one.rows == "inputs" else tensors[one.weight].T
        bias = tensors[one.bias] if one.bias else np.zeros(weights.shape[-1], weights.dtype)
        built.append((weights, bias, one.activation))
    program = layers.build(built, len(columns), classes)
    order = {name: tensors[name] for name in used}
    return Read("safetensors", program, write(order), tuple(sorted({one.activation for one in architecture})))


def _tensors(data: bytes) -> dict[str, Array]:
    size = find_header(data)
    if size is None:
        raise ModelRefused(FORMAT, "its header", "a safetensors file")
    try:
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_once)
        listed = sorted(header.items(), key=lambda one: one[1]["data_offsets"][0])
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(FORMAT, "its header", "a safetensors file without metadata") from None
    body, place, found = data[8 + size :], 0, {}
    for name, one in listed:
        found[name], place = _tensor(one, body, place)
    if place != len(body):
        raise ModelRefused(EXTRA, "bytes that no tensor has", "tensors that fill the file")
    return found


def _tensor(one: Any, body: bytes, place: int) -> tuple[Array, int]:
    if set(one) != {"dtype", "shape", "data_offsets"} or one["dtype"] not in _TYPES:
        raise ModelRefused(TYPE, "a tensor's element type", ", ".join(_TYPES))
    begin, end = one["data_offsets"]
    shape = one["shape"]
    dtype = np.dtype(_TYPES[one["dtype"]])
    whole = all(type(each) is int and each >= 0 for each in (*shape, begin, end))
    if not whole or begin != place or end - begin != math.prod(shape) * dtype.itemsize or end > len(body):
        raise ModelRefused(EXTRA, "a gap or an overlap of tensors", "tensors one after the other, each of its size")
    return np.frombuffer(body[begin:end], dtype=dtype).reshape(shape).copy(), end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or "__metadata__" in found:
        raise ModelRefused(EXTRA, "metadata, or a name that is there twice", "a header of tensors alone")
    return found


def write(tensors: dict[str, Array]) -> bytes:
    """Return a file of these tensors in their order, with nothing beside them."""
    names = {"<f8": "F64", "<f4": "F32", "<f2": "F16"}
    header, place = {}, 0
    for name, one in tensors.items():
        header[name] = {
            "dtype": names[one.dtype.str],
            "shape": list(one.shape),
            "data_offsets": [place, place + one.nbytes],
        }
        place += one.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return (
        struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(one).tobytes() for one in tensors.values())
    )
