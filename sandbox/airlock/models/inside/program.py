"""A model as a program: steps of arithmetic over columns. The one form into which every accepted format is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array

TREES: Final = "Trees"
CATEGORICAL: Final = frozenset({"OneHot", "Codes"})
"""Steps that hold values of a column, whose holders are counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `op` of the vocabulary in `arithmetic.OPERATIONS`, names of what it reads and gives, its attributes."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[tuple[str, Array], ...]:
        """The attributes that are arrays, by name."""
        return tuple((name, one) for name, one in self.attributes.items() if isinstance(one, np.ndarray))


@dataclass(frozen=True, slots=True)
class Input:
    """What a program is given under `name`: a matrix of the declared columns at these places."""

    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A model: inputs, constants by name, steps in order, and which value is its score.

    `classes` are the labels in the order of the score's columns, empty for a regression. `family` says what kind of
    learner makes such a model (linear, trees, boosting, network): the attack trains its like.
    """

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    output: str
    classes: tuple[str, ...] = ()
    constants: Mapping[str, Array] = field(default_factory=dict)
    family: str = "linear"

    @property
    def numbers(self) -> int:
        """How many numbers the program holds, wherever they stand."""
        return sum(array.size for _, array in self.arrays()) + sum(
            len(one) if isinstance(one, tuple) else 1
            for step in self.steps
            for one in step.attributes.values()
            if not isinstance(one, np.ndarray | str)
        )

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Yield every array with its place."""
        yield from self.constants.items()
        for place, step in enumerate(self.steps):
            for name, array in step.arrays:
                yield f"step {place + 1} {step.op} {name}", array

    def texts(self) -> tuple[str, ...]:
        """Return every text that the program holds: classes and categories."""
        found: list[str] = list(self.classes)
        for _, array in self.arrays():
            if array.dtype.kind in "UOS":
                found += [str(one) for one in array.ravel()]
        for step in self.steps:
            for one in step.attributes.values():
                if isinstance(one, tuple):
                    found += [each for each in one if isinstance(each, str)]
        return tuple(found)
