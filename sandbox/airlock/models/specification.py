"""What an analyst declares with a model: closed JSON that says what it was trained on, and what may not be inferred.

The declaration steers what is measured and never what is allowed: thresholds are the authority's.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from shuzha.core.conditions import Op, Scalar
from shuzha.core.errors import Invalid

RULE: Final = "airlock.model"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Columns = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=500)]


class TrainedOn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition on the training rows."""

    column: Name
    op: Op
    value: Scalar | Annotated[list[Scalar], msgspec.Meta(max_length=500)] | None = None


class Holdout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rows the model never saw: a share of all, drawn by the hash of who they are of with this word."""

    share: Annotated[float, msgspec.Meta(ge=0.1, le=0.5)]
    word: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dense layer of a model whose file has bare weights; `rows` says what a row of the weights is of."""

    weight: Name
    bias: Annotated[str, msgspec.Meta(max_length=80)] = ""
    activation: Literal["identity", "relu", "tanh", "sigmoid", "softmax", "softplus"] = "identity"
    rows: Literal["inputs", "outputs"] = "outputs"


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model trained with differential privacy says of its training, for the accountant.

    `gaussian` is noise on clipped gradients of batches (DP-SGD), `laplace` is noise on what was released `steps` times.
    """

    epsilon: Annotated[float, msgspec.Meta(gt=0, le=100)]
    delta: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    accountant: Literal["rdp", "composition"]
    mechanism: Literal["gaussian", "laplace"]
    noise: Annotated[float, msgspec.Meta(gt=0)]
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    sample_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class ModelSpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="model"):
    """A model: the release that it was trained on, its columns in order, its target, who was held out."""

    release: Name
    columns: Columns
    target: Name
    task: Literal["classification", "regression"]
    holdout: Holdout
    where: Annotated[list[TrainedOn], msgspec.Meta(max_length=20)] = []
    sensitive: Annotated[list[Name], msgspec.Meta(max_length=20)] = []
    classes: Annotated[list[Annotated[str, msgspec.Meta(max_length=80)]], msgspec.Meta(max_length=64)] = []
    architecture: Annotated[list[Layer], msgspec.Meta(max_length=64)] = []
    privacy: Privacy | None = None

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column of the release that the model or its rows are about."""
        return frozenset({*self.columns, self.target, *self.sensitive, *(one.column for one in self.where)})


def parse(data: bytes) -> ModelSpecification:
    """Return the specification; raises Invalid for an unknown field, a wrong type, a column that is there twice."""
    try:
        found = msgspec.json.decode(data, type=ModelSpecification)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"the model's specification is not of the grammar: {_where(error)}", rule=RULE) from None
    if len(set(found.columns)) != len(found.columns) or found.target in found.columns:
        raise Invalid("a column of the model is named twice, or is its target", rule=RULE, accepted="each column once")
    return found


def _where(error: Exception) -> str:
    """Return what msgspec says of the place; a value that was given is not in it."""
    text = str(error)
    return text.partition(" - at `")[2].rstrip("`") or "its fields"
