"""JSON: dense layers written by hand, `{"format": "shuzha-model/1", "layers": [...], "classes": [...]}`.

For models that were fitted with numpy or polars alone; an unknown field is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from sandbox.airlock.models import layers
from sandbox.airlock.models.problems import FORMAT, ModelRefused, Read

MARK: Final = "shuzha-model/1"
Numbers = Annotated[list[float], msgspec.Meta(max_length=4096)]


class JsonLayer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dense layer: weights of inputs by outputs, a bias for each output."""

    weights: Annotated[list[Numbers], msgspec.Meta(max_length=4096)]
    bias: Numbers
    activation: str = "identity"


class JsonModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of dense layers."""

    format: Literal["shuzha-model/1"]
    layers: Annotated[list[JsonLayer], msgspec.Meta(max_length=64)]
    classes: Annotated[list[Annotated[str, msgspec.Meta(max_length=80)]], msgspec.Meta(max_length=64)] = []


def read(data: bytes, columns: Sequence[str]) -> Read:
    """Return the model in these bytes; raises ModelRefused for an unknown field and layers that do not fit."""
    try:
        model = msgspec.json.decode(data, type=JsonModel, strict=True)
        built = [
            (np.asarray(one.weights, np.float64), np.asarray(one.bias, np.float64), one.activation)
            for one in model.layers
        ]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ModelRefused(FORMAT, "its fields", f"`format` {MARK!r}, `layers` of weights, bias, activation") from None
    program = layers.build(built, len(columns), tuple(model.classes))
    return Read("json", program, msgspec.json.encode(model, order="sorted") + b"\n", tuple(sorted({"layers"})))
