"""One model over rows of inputs, by the platform's own arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from products.forms.predicting.inside.worker import Cell
from sandbox.airlock.models.inside.arithmetic import ProgramFault, run
from sandbox.airlock.models.inside.measuring import probabilities
from sandbox.airlock.models.inside.program import Array
from sandbox.airlock.models.problems import ModelRefused
from sandbox.airlock.models.reading import read_model
from sandbox.airlock.models.specification import ModelSpecification


class ModelFailed(RuntimeError):
    """The model gives no answer; the message is in words of our own and holds no value."""


class Scorer:
    """A model that was read. `classes` in the order of the scores, none for a regression; `width` numbers a row."""

    def __init__(self, data: bytes, specification: ModelSpecification) -> None:
        try:
            self._program = read_model(data, specification).program
        except ModelRefused as error:
            raise ModelFailed(f"the model is refused by rule {error.rule}") from None
        classifies = specification.task == "classification"
        named = self._program.classes or tuple(specification.classes)
        self._columns = len(specification.columns)
        # Without names of their own the two classes of a yes or no are 0 and 1.
        self.classes = tuple(named or ("0", "1")) if classifies else ()
        self.width = len(self.classes) if classifies else 1

    def score(self, rows: Sequence[Sequence[Cell]]) -> list[list[float]]:
        """Return a chance for each class, or one value, for each row; raises ModelFailed where there is none."""
        if any(len(row) != self._columns for row in rows):
            raise ModelFailed("a row has not the declared columns")
        columns = tuple(_column([row[place] for row in rows]) for place in range(self._columns))
        try:
            found = probabilities(run(self._program, columns), len(self.classes))
        except ProgramFault as error:
            raise ModelFailed(str(error)) from None
        if found.shape != (len(rows), self.width) or not np.isfinite(found).all():
            raise ModelFailed("the model gives no finite score for each row")
        return [[float(one) for one in row] for row in found]


def _column(values: list[Cell]) -> Array:
    """Return a column as models are measured with it: numbers with NaN, texts with the empty one, for missing."""
    if any(isinstance(one, str) for one in values):
        return np.asarray(["" if one is None else str(one) for one in values], dtype=object)
    return np.asarray([float("nan") if one is None else float(one) for one in values])
