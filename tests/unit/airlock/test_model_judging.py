"""What the rules say of a model's evidence: each parameter at its boundary; what was not measured does not pass."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sandbox.airlock.findings import Severity
from sandbox.airlock.models import judging
from sandbox.airlock.models.evidence import Answer, Attack, Attribute, Evidence, Refusal, decode_answer
from sandbox.airlock.models.inside import figures
from sandbox.airlock.models.privacy import most_found, spent_epsilon
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.models.specification import Holdout, ModelSpecification, Privacy, parse
from sandbox.airlock.models.training import is_held_out
from shuzha.core.errors import Invalid

RULES = ModelRules()
DECLARED = ModelSpecification("people", ["age", "rooms"], "late", "classification", Holdout(0.3))
ATTACK = Attack("loss", 0.5, 0.45, 0.55, 0.01, 0.005, None, 700, 300)
GOOD = Evidence(
    entities=700, holdout=300, cells=2100, free=3, numbers=3, texts=("0", "1"), leaf=None, leaves=0, thin_leaves=0,
    trees=0, category=None, thin_categories=0, class_least=300, extremes=0, overlap_people=0, overlap_share=0.0,
    attacks=(ATTACK,), shadows=32, exposed=0, exposed_wrongly=0, holdout_gain=0.0, holdout_error=0.0, attributes=(),
    quality=0.8, quality_baseline=0.6,
)  # fmt: skip
ANSWER = Answer("skops", b"x" * 100, ("LogisticRegression",), "linear", 3, ("0", "1"), GOOD)


def judged(
    specification: ModelSpecification = DECLARED, *, answer: Any = None, rules: ModelRules = RULES, **changes: Any
) -> dict[str, Severity]:
    """Return the severity of each rule that speaks, notes left out."""
    evidence = msgspec.structs.replace(GOOD, **changes)
    answer = answer or msgspec.structs.replace(ANSWER, evidence=evidence)
    found = judging.judge_answer(answer, specification, rules)
    return {one.rule: one.severity for one in found if one.severity is not Severity.NOTE}


def attacked(**changes: Any) -> dict[str, Any]:
    return {"attacks": (msgspec.structs.replace(ATTACK, **changes),)}


def test_judge_has_nothing_against_a_good_model() -> None:
    assert judged() == {}


@pytest.mark.boundary(
    rule="membership", parameter="models.auc_review, models.auc_block",
    passes="an attack whose interval ends low at .55",
    fails="at .5501 (review), at .6001 (block); an AUC of .9 with a wide interval passes",
)  # fmt: skip
@pytest.mark.boundary(
    rule="membership_tail", parameter="models.tpr_review, models.tpr_block",
    passes="5 % of members found at 1 % false alarms (lower end)",
    fails="above it (review), above 10 % (block)",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_leaf", passes="10 people behind each leaf, category and class",
    fails="9 people; a leaf of nobody",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_budget", parameter="models.number_share", passes="525 fitted numbers for 2,100 cells",
    fails="526",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_dof", passes="110 people and 100 numbers; trees of 100 leaves",
    fails="109 people; trees of 101 leaves",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_rows", passes="no row among the numbers",
    fails="rows of 2 people (review), of 3 (block)",
)  # fmt: skip
@pytest.mark.boundary(
    rule="membership_record", passes="5 people told where chance gives 2",
    fails="7 people (review)",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_holdout", passes="a gain of .8 with an error of .1",
    fails="of .81",
)  # fmt: skip
@pytest.mark.boundary(
    rule="model_quality", passes="better than no model",
    fails="as good as none (review)",
)  # fmt: skip
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (attacked(low=0.55), {}),
        (attacked(low=0.5501), {"membership": "review"}),
        (attacked(low=0.60), {"membership": "review"}),
        (attacked(low=0.6001), {"membership": "block"}),
        (attacked(auc=0.9, low=0.55), {}),
        (attacked(tpr_1_low=0.05), {}),
        (attacked(tpr_1_low=0.0501), {"membership_tail": "review"}),
        (attacked(tpr_1_low=0.10), {"membership_tail": "review"}),
        (attacked(tpr_1_low=0.1001), {"membership_tail": "block"}),
        ({"leaf": 10, "leaves": 8, "trees": 1}, {}),
        ({"leaf": 9, "leaves": 8, "trees": 1}, {"model_leaf": "block"}),
        ({"leaf": 0, "leaves": 8, "trees": 1}, {"model_leaf": "block"}),
        ({"category": 10}, {}),
        ({"category": 9}, {"model_leaf": "block"}),
        ({"class_least": 10}, {}),
        ({"class_least": 9}, {"model_leaf": "block"}),
        ({"free": 525}, {}),
        ({"free": 526}, {"model_budget": "block"}),
        ({"entities": 110, "cells": 10_000, "free": 100}, {}),
        ({"entities": 109, "cells": 10_000, "free": 100}, {"model_dof": "block"}),
        ({"entities": 110, "cells": 10_000, "free": 900, "trees": 3, "leaves": 300, "leaf": 10}, {}),
        (
            {"entities": 110, "cells": 10_000, "free": 900, "trees": 3, "leaves": 303, "leaf": 10},
            {"model_dof": "block"},
        ),
        ({"overlap_people": 0}, {}),
        ({"overlap_people": 2, "overlap_share": 0.001}, {"model_rows": "review"}),
        ({"overlap_people": 3, "overlap_share": 0.001}, {"model_rows": "block"}),
        ({"extremes": 1}, {"extreme": "block"}),
        ({"exposed": 5}, {}),
        ({"exposed": 7}, {"membership_record": "review"}),
        ({"exposed": 7, "exposed_wrongly": 3}, {}),
        ({"holdout_gain": 0.8, "holdout_error": 0.1}, {}),
        ({"holdout_gain": 0.81, "holdout_error": 0.1}, {"model_holdout": "block"}),
        ({"quality": 0.6}, {"model_quality": "review"}),
        ({"texts": ("0", "1")}, {}),
    ],
)
def test_judge_at_each_boundary(changes: dict[str, Any], found: dict[str, str]) -> None:
    assert judged(**changes) == found


@pytest.mark.boundary(
    rule="model_budget", parameter="models.bytes_per_number, models.bytes_beside",
    passes="16 bytes for each number and 32,768 beside", fails="one byte more",
)  # fmt: skip
def test_judge_blocks_more_bytes_than_the_numbers_need() -> None:
    most = RULES.bytes_beside + 3 * RULES.bytes_per_number
    assert judged(answer=msgspec.structs.replace(ANSWER, content=b"x" * most)) == {}
    assert judged(answer=msgspec.structs.replace(ANSWER, content=b"x" * (most + 1))) == {"model_budget": "block"}


def test_judge_blocks_identifiers_among_classes_and_categories() -> None:
    assert judged(answer=msgspec.structs.replace(ANSWER, texts=("13812345678",))) == {"label_pii": "block"}


@pytest.mark.boundary(
    rule="model_evidence", passes="everything measured",
    fails="no evidence, no attack, or none on a sensitive column",
)  # fmt: skip
def test_judge_blocks_what_was_not_measured() -> None:
    unmeasured = msgspec.structs.replace(ANSWER, evidence=None, failed="step 3 (Gemm) cannot be done")
    assert judged(answer=unmeasured) == {"model_evidence": "block"}
    assert judged(attacks=()) == {"model_evidence": "block"}
    sensitive = msgspec.structs.replace(DECLARED, sensitive=["rooms"])
    assert judged(sensitive) == {"model_evidence": "block"}


@pytest.mark.boundary(
    rule="attribute_inference", parameter="models.advantage_review, models.advantage_block",
    passes="an advantage over outsiders of .05 (lower end)",
    fails="of .0501 (review), of .1001 (block)",
)  # fmt: skip
@pytest.mark.parametrize(("low", "found"), [(0.05, {}), (0.0501, "review"), (0.10, "review"), (0.1001, "block")])
def test_judge_attribute_inference_at_its_boundaries(low: float, found: Any) -> None:
    sensitive = msgspec.structs.replace(DECLARED, sensitive=["rooms"])
    attributes = (Attribute("rooms", low + 0.05, low),)
    assert judged(sensitive, attributes=attributes) == ({"attribute_inference": found} if found else {})


PRIVATE = Privacy(2.6, 1e-5, "rdp", "gaussian", 1.1, 14_062, 256 / 60_000)


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "epsilon"),
    [
        # Worked out by Google's dp-accounting (its RDP accountant at the same orders).
        (256 / 60_000, 1.1, 14_062, 1e-5, 2.5969811785948815), (0.01, 1.0, 1000, 1e-6, 2.4366938030221523),
        (1.0, 5.0, 10, 1e-6, 3.1345027119221234), (0.05, 0.8, 200, 1e-5, 8.75396470183971),
        (0.001, 4.0, 100, 1e-5, 0.028156021555623398),
    ],
)  # fmt: skip
def test_accountant_agrees_with_another(rate: float, noise: float, steps: int, delta: float, epsilon: float) -> None:
    told = Privacy(1.0, delta, "rdp", "gaussian", noise, steps, rate)
    assert spent_epsilon(told) == pytest.approx(epsilon, rel=1e-9)


def test_accountant_composes_laplace_and_knows_no_other() -> None:
    assert spent_epsilon(Privacy(1.0, 0, "composition", "laplace", 10.0, 5)) == 0.5
    assert math.isinf(spent_epsilon(Privacy(1.0, 0, "rdp", "laplace", 10.0, 5)))
    assert math.isinf(spent_epsilon(Privacy(1.0, 0, "rdp", "gaussian", 1.0, 5)))


@pytest.mark.boundary(
    rule="model_privacy", passes="an epsilon of 2.597 for a training that spends 2.59698",
    fails="one of 2.5969; an attack that finds more than it allows",
)  # fmt: skip
def test_judge_blocks_an_epsilon_below_what_the_training_spends() -> None:
    def said(epsilon: float, **changes: Any) -> dict[str, Severity]:
        private = msgspec.structs.replace(PRIVATE, epsilon=epsilon)
        return judged(msgspec.structs.replace(DECLARED, privacy=private), **changes)

    assert said(2.597) == {}
    assert said(2.5969) == {"model_privacy": "block"}
    # What no model of that epsilon shows: the attack finds more than the bound at 1 % false alarms.
    most = most_found(spent_epsilon(PRIVATE), PRIVATE.delta, 0.01)
    assert "model_privacy" not in said(2.6, **attacked(tpr_1_low=most))
    assert said(2.6, **attacked(tpr_1_low=most + 0.001))["model_privacy"] == "block"
    loose = Privacy(50.0, 1e-5, "rdp", "gaussian", 1.0, 1000, 0.05)
    assert judged(msgspec.structs.replace(DECLARED, privacy=loose)) == {"model_privacy": "review"}


def composed(epsilon: float, steps: int) -> ModelSpecification:
    """Return a declaration of so many Laplace steps of one each."""
    return msgspec.structs.replace(DECLARED, privacy=Privacy(epsilon, 0.0, "composition", "laplace", 1.0, steps))


@pytest.mark.boundary(
    rule="model_privacy", passes="a training that spends an epsilon of 10",
    fails="of 11: people judge (review)",
)  # fmt: skip
@pytest.mark.parametrize(("steps", "found"), [(10, {}), (11, {"model_privacy": "review"})])
def test_judge_asks_people_about_a_large_epsilon(steps: int, found: dict[str, str]) -> None:
    assert judged(composed(steps, steps)) == found


MOVED: list[tuple[ModelRules, dict[str, Any], dict[str, Any], dict[str, str]]] = [
    (ModelRules(leaf_entities=12), {"leaf": 12}, {"leaf": 11}, {"model_leaf": "block"}),
    (
        ModelRules(min_dof=20), {"entities": 120, "cells": 10_000, "free": 100},
        {"entities": 119, "cells": 10_000, "free": 100}, {"model_dof": "block"},
    ),
    (ModelRules(number_share=0.1), {"free": 210}, {"free": 211}, {"model_budget": "block"}),
    (ModelRules(auc_review=0.52), attacked(low=0.52), attacked(low=0.5201), {"membership": "review"}),
    (ModelRules(auc_block=0.56), attacked(low=0.54), attacked(low=0.5601), {"membership": "block"}),
    (ModelRules(tpr_review=0.02), attacked(tpr_1_low=0.02), attacked(tpr_1_low=0.03), {"membership_tail": "review"}),
    (ModelRules(tpr_block=0.06), attacked(tpr_1_low=0.05), attacked(tpr_1_low=0.07), {"membership_tail": "block"}),
    (
        ModelRules(overlap_people=2), {"overlap_people": 0}, {"overlap_people": 2, "overlap_share": 0.001},
        {"model_rows": "block"},
    ),
    (
        ModelRules(holdout_gain=0.2), {"holdout_gain": 0.5, "holdout_error": 0.1},
        {"holdout_gain": 0.51, "holdout_error": 0.1}, {"model_holdout": "block"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "passes", "fails", "found"), MOVED)
def test_another_parameter_moves_its_boundary(
    rules: ModelRules, passes: dict[str, Any], fails: dict[str, Any], found: dict[str, str]
) -> None:
    assert judged(rules=rules, **passes) == {}
    assert judged(rules=rules, **fails) == found


def test_parameters_of_declarations_and_bytes_move_their_boundaries() -> None:
    sensitive = msgspec.structs.replace(DECLARED, sensitive=["rooms"])
    for rules, low, found in (
        (ModelRules(advantage_review=0.01), 0.01, {}),
        (ModelRules(advantage_review=0.01), 0.02, {"attribute_inference": "review"}),
        (ModelRules(advantage_block=0.06), 0.07, {"attribute_inference": "block"}),
    ):
        assert judged(sensitive, rules=rules, attributes=(Attribute("rooms", low, low),)) == found
    assert judged(composed(3, 3), rules=ModelRules(epsilon_review=3)) == {}
    assert judged(composed(4, 4), rules=ModelRules(epsilon_review=3)) == {"model_privacy": "review"}
    few = ModelRules(bytes_per_number=2, bytes_beside=50)
    for size, told in ((56, {}), (57, {"model_budget": "block"})):
        answer = msgspec.structs.replace(ANSWER, content=b"x" * size)
        assert judged(answer=answer, rules=few) == told


def test_decode_refuses_what_is_not_the_agreed_answer() -> None:
    assert decode_answer(msgspec.msgpack.encode(ANSWER)) == ANSWER
    refusal = Refusal("model_code", "a pickle", "ONNX")
    assert decode_answer(msgspec.msgpack.encode(refusal)) == refusal
    wrong = msgspec.structs.replace(ANSWER, evidence=msgspec.structs.replace(GOOD, quality=float("nan")))
    with pytest.raises(ValueError, match="no number"):
        decode_answer(msgspec.msgpack.encode(wrong))
    for data in (b"", msgspec.msgpack.encode({"type": "read"}), msgspec.msgpack.encode([1])):
        with pytest.raises(msgspec.MsgspecError):
            decode_answer(data)


def test_rules_refuse_parameters_out_of_order() -> None:
    for changes in ({"auc_review": 0.7}, {"auc_review": 0.4}, {"tpr_review": 0.2}, {"leaf_entities": 0}):
        with pytest.raises(Invalid):
            ModelRules(**changes)  # type: ignore[arg-type]


SPECIFICATION = {
    "kind": "model", "release": "people", "columns": ["age"], "target": "late", "task": "classification",
    "holdout": {"share": 0.3},
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "ranking"}, {"holdout": None}, {"holdout": {"share": 0.05}}, {"holdout": {"share": 0.6}},
        {"columns": []}, {"columns": ["age", "age"]}, {"target": "age"}, {"thresholds": {"auc": 0.9}},
        {"privacy": {"epsilon": -1}}, {"kind": "table"},
    ],
)  # fmt: skip
def test_parse_refuses_what_is_not_of_the_grammar(changes: dict[str, Any]) -> None:
    assert parse(msgspec.json.encode(SPECIFICATION)).columns == ["age"]
    with pytest.raises(Invalid):
        parse(msgspec.json.encode(SPECIFICATION | changes))


@given(st.integers(0, 2**32), st.integers(5, 60), st.integers(5, 60))
def test_area_under_the_curve_is_what_others_compute(seed: int, members: int, others: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=members + others), 1)  # with ties
    member = np.arange(members + others) < members
    found = figures.judge("a", scores, member)
    assert found.auc == pytest.approx(roc_auc_score(member, scores))
    assert found.low <= found.auc <= found.high
    assert found.tpr_1_low <= found.tpr_1


def test_interval_of_the_area_covers_the_truth_as_often_as_it_says() -> None:
    random, hits = np.random.default_rng(0), 0
    truth = 0.6381  # two normals, half a deviation apart: the normal distribution at 0.5 / sqrt(2)
    for _ in range(400):
        scores = np.concatenate([random.normal(0.5, 1, 150), random.normal(0, 1, 100)])
        found = figures.judge("a", scores, np.arange(250) < 150)
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_share_at_few_false_alarms_counts_above_the_threshold() -> None:
    outside = np.arange(1000.0)
    scores = np.concatenate([np.full(30, 5000.0), np.full(70, -1.0), outside])
    found = figures.judge("a", scores, np.arange(1100) < 100)
    assert (found.tpr_1, found.tpr_01) == (0.30, 0.30)
    assert figures.wilson_low(30, 100) == pytest.approx(0.2189, abs=1e-3)
    few = figures.judge("a", scores[:600], np.arange(600) < 100)
    assert few.tpr_01 is None, "0.1 % of 500 is nobody"


def test_held_out_is_a_share_by_the_hash_of_the_key_and_stays_the_same() -> None:
    keys = [f"r{one}" for one in range(4000)]
    held = is_held_out(Holdout(0.3, "w"), keys)
    assert 0.27 < sum(held) / 4000 < 0.33
    assert held == is_held_out(Holdout(0.3, "w"), keys)
    assert held != is_held_out(Holdout(0.3, "v"), keys)
    assert all(more for less, more in zip(held, is_held_out(Holdout(0.4, "w"), keys), strict=True) if less)
