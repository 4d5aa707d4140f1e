"""Dense layers as a program: what an architecture that comes with bare weights may say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sandbox.airlock.models.inside.program import Array, Input, Program, Step
from sandbox.airlock.models.problems import FORMAT, ModelRefused

ACTIVATIONS: Final = {
    "identity": "Identity", "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softmax": "Softmax",
    "softplus": "Softplus",
}  # fmt: skip


def build(layers: Sequence[tuple[Array, Array, str]], columns: int, classes: tuple[str, ...]) -> Program:
    """Return layers (weights of inputs by outputs, bias, activation) as a program over so many columns.

    Refuses shapes that do not follow each other, and a number of scores that does not fit the classes; one score of
    two classes is the second's.
    """
    width, steps, value = columns, [], "input"
    for place, (weights, bias, activation) in enumerate(layers, start=1):
        if weights.ndim != 2 or weights.shape[0] != width or bias.shape != (weights.shape[1],):
            raise ModelRefused(
                FORMAT, f"layer {place}", f"weights of {width} inputs by outputs, a bias for each output"
            )
        if activation not in ACTIVATIONS:
            raise ModelRefused(FORMAT, f"the activation of layer {place}", ", ".join(ACTIVATIONS))
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ModelRefused(FORMAT, f"a number of layer {place}", "finite numbers")
        steps.append(Step("Affine", (value,), (f"a{place}",), {"weights": weights, "bias": bias}))
        steps.append(Step(ACTIVATIONS[activation], (f"a{place}",), (f"v{place}",)))
        width, value = weights.shape[1], f"v{place}"
    if not layers or (classes and width not in {len(classes), 1 if len(classes) == 2 else 0}):
        raise ModelRefused(FORMAT, "its last layer", "a score for each class, or one for two classes")
    if classes and width == 1:
        steps.append(Step("Two", (value,), ("scores",)))
        value = "scores"
    family = "network" if len(layers) > 1 else "linear"
    return Program((Input("input", tuple(range(columns))),), tuple(steps), value, classes, {}, family)
