"""The parameters of the model gate, and what each of its rules means; only the authority changes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.airlock.findings import Severity
from shuzha.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class ModelRules:
    """The parameters in force for models.

    `leaf_entities` people stand behind each leaf, category and class. A model may have `number_share` fitted numbers
    for each cell of its training table, `bytes_per_number` bytes for each number and `bytes_beside` more. `auc_*` bind
    where the lower end of an attack's interval lies above, `tpr_*` likewise for the share of members found at 1 %
    false alarms, `advantage_*` for attribute inference. Rows of `overlap_people` among the weights block;
    `holdout_gain` is how much a model may know of those held out.
    """

    leaf_entities: int = 10
    min_dof: int = 10
    number_share: float = 0.25
    bytes_per_number: int = 16
    bytes_beside: int = 32_768
    auc_review: float = 0.55
    auc_block: float = 0.60
    tpr_review: float = 0.05
    tpr_block: float = 0.10
    advantage_review: float = 0.05
    advantage_block: float = 0.10
    overlap_people: int = 3
    holdout_gain: float = 0.5
    epsilon_review: float = 10.0

    def __post_init__(self) -> None:
        ordered = (
            0.5 <= self.auc_review <= self.auc_block <= 1
            and 0 <= self.tpr_review <= self.tpr_block <= 1
            and 0 <= self.advantage_review <= self.advantage_block <= 1
        )
        if not ordered or min(self.leaf_entities, self.overlap_people, self.bytes_per_number) < 1:
            raise Invalid(
                "the model rules refuse parameters out of order", rule="airlock.rules",
                accepted="review at or below block, counts of 1 or more",
            )  # fmt: skip


MODEL_NOTES: Final[tuple[tuple[str, tuple[str, ...], Severity, str, str], ...]] = (
    (
        "model_format", (), Severity.BLOCK,
        "a model is a sound file of an accepted format: ONNX, skops, safetensors, PMML, JSON",
        "Shuzha",
    ),
    (
        "model_code", (), Severity.BLOCK,
        "nothing in a model runs code when it is loaded: no pickle, function, foreign operator or outside file",
        "SACRO-ML",
    ),
    (
        "model_type", (), Severity.BLOCK,
        "operators and estimators are on the list, at any depth of nesting",
        "SACRO-ML, GRAIMATTER",
    ),
    (
        "model_stores_rows", (), Severity.BLOCK,
        "no part of a model keeps training rows: neighbours, support vectors, kernels, lookups",
        "GRAIMATTER",
    ),
    (
        "model_extra", (), Severity.BLOCK,
        "a model holds nothing that it does not need: metadata, unused constants, unlisted attributes",
        "Shuzha",
    ),
    (
        "model_budget", ("models.number_share", "models.bytes_per_number", "models.bytes_beside"), Severity.BLOCK,
        "fitted numbers are fewer than this share of the training table's cells (people by columns); bytes fit them",
        "Shuzha",
    ),
    (
        "model_dof", ("models.min_dof",), Severity.BLOCK,
        "there are this many more people than fitted numbers, or than leaves in a tree",
        "SACRO-ML",
    ),
    (
        "model_leaf", ("models.leaf_entities",), Severity.BLOCK,
        "this many people of the training rows stand behind each leaf, category and class",
        "SACRO-ML",
    ),
    (
        "model_rows", ("models.overlap_people",), Severity.BLOCK,
        "the numbers of a model are no rows of the release, plain or scaled; fewer people's need review",
        "Shuzha",
    ),
    (
        "model_evidence", (), Severity.BLOCK,
        "everything that the rules ask of a model was measured, in a jail without a network",
        "Shuzha",
    ),
    (
        "membership", ("models.auc_review", "models.auc_block"), Severity.BLOCK,
        "no attack tells members from others: area under the curve, lower end of the 95 % interval (review, block)",
        "Carlini 2022, Yeom 2018, SACRO-ML",
    ),
    (
        "membership_tail", ("models.tpr_review", "models.tpr_block"), Severity.BLOCK,
        "members found at 1 % false alarms, lower end of the interval (review, block)",
        "Carlini 2022",
    ),
    (
        "membership_record", (), Severity.REVIEW,
        "no more single members than by chance are told by one look at the model's answer",
        "Carlini 2022",
    ),
    (
        "model_holdout", ("models.holdout_gain",), Severity.BLOCK,
        "the model is not surer of those held out (0) than models that never saw them; 1 is as sure as if it had",
        "Shuzha",
    ),
    (
        "attribute_inference", ("models.advantage_review", "models.advantage_block"), Severity.BLOCK,
        "a sensitive value is guessed for no more members than others, lower end of the interval (review, block)",
        "Yeom 2018",
    ),
    (
        "model_quality", (), Severity.REVIEW,
        "a model does better for those held out than the target's distribution alone",
        "Shuzha",
    ),
    (
        "model_privacy", ("models.epsilon_review",), Severity.BLOCK,
        "a declared epsilon is what its training spends, no attack contradicts it; above this people judge",
        "Mironov 2019, Kairouz 2015",
    ),
)  # fmt: skip
"""What each rule of the gate asks, for people: parameters in `Rules`, how it binds, where its definition comes from."""
