"""Any model file: its format is told by its content, then the reader of that format reads it."""

from __future__ import annotations

import pickletools
from typing import Final

from sandbox.airlock.models import json_reader, onnx_reader, pmml_reader, safetensors_reader, skops_reader
from sandbox.airlock.models.problems import CODE, FORMAT, ModelRefused, Read
from sandbox.airlock.models.specification import ModelSpecification

ACCEPTED: Final = "ONNX, skops, safetensors, PMML or JSON (shuzha-model/1)"


def read_model(data: bytes, specification: ModelSpecification) -> Read:
    """Return the model in these bytes; raises ModelRefused with the rule that it breaks. Nothing of it is executed."""
    columns, classes = specification.columns, tuple(specification.classes)
    match detect(data):
        case "skops":
            return skops_reader.read(data, columns)
        case "safetensors":
            return safetensors_reader.read(data, columns, specification.architecture, classes)
        case "json":
            return json_reader.read(data, columns)
        case "pmml":
            return pmml_reader.read(data, columns)
        case "onnx":
            return onnx_reader.read(data, columns)
    raise ModelRefused(FORMAT, "content of no accepted format", ACCEPTED)


def detect(data: bytes) -> str | None:
    """Return the format that these bytes seem to be of; raises ModelRefused for what runs code when it is loaded.

    Names and declared media are not asked.
    """
    if data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05" and len(data) > 2:
        raise ModelRefused(CODE, "a pickle", ACCEPTED)
    if data[:2] in (b"\x1f\x8b", b"BZ", b"x\x9c", b"x\x01", b"x\xda", b"x^") or data[:6] == b"\xfd7zXZ\x00":
        raise ModelRefused(CODE, "a compressed file, as joblib writes pickles", ACCEPTED)
    if _is_pickle(data):
        raise ModelRefused(CODE, "a pickle", ACCEPTED)
    if data[:4] == b"PK\x03\x04":
        return "skops"
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        raise ModelRefused(CODE, "an HDF5 file, which may hold layers of code", ACCEPTED)
    if safetensors_reader.find_header(data) is not None:
        return "safetensors"
    start = data[:256].lstrip(b"\xef\xbb\xbf \r\n\t")
    if start[:1] == b"{":
        return "json"
    if start[:1] == b"<":
        return "pmml"
    return "onnx" if data[:1] == b"\x08" else None


def _is_pickle(data: bytes) -> bool:
    """Say whether these are a pickle's instructions, of the oldest protocol too; they are listed, never followed."""
    if not data.rstrip().endswith(b"."):
        return False
    try:
        return sum(1 for _ in pickletools.genops(data)) > 1
    except Exception:  # The parser raises whatever it meets; what it cannot read is no pickle.
        return False
