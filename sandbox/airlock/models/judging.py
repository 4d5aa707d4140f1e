"""What the rules say of the evidence: findings with figure and limit. Pure: thresholds stand here and nowhere else."""

from __future__ import annotations

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.labels import check_texts
from sandbox.airlock.models.evidence import Answer, Attack, Evidence
from sandbox.airlock.models.privacy import most_found, spent_epsilon
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.models.specification import ModelSpecification, Privacy

_BLOCK, _REVIEW, _NOTE = Severity.BLOCK, Severity.REVIEW, Severity.NOTE


def judge_answer(answer: Answer, specification: ModelSpecification, rules: ModelRules) -> list[Finding]:
    """Return every finding about a model that was read and measured; missing evidence blocks."""
    found = [*check_texts(answer.texts, "classes and categories"), *check_bytes(answer, rules)]
    evidence = answer.evidence
    if evidence is None:
        accepted = "a model that can be worked out over its training rows and those held out"
        return [*found, Finding("model_evidence", _BLOCK, accepted, place=answer.failed or "nothing was measured")]
    found += check_size(evidence, rules)
    found += check_people(evidence, rules)
    found += check_rows(evidence, rules)
    found += check_membership(evidence, rules)
    found += check_attributes(evidence, specification, rules)
    found += check_quality(evidence)
    if specification.privacy is not None:
        found += check_privacy(specification.privacy, evidence, rules)
    return found


def check_bytes(answer: Answer, rules: ModelRules) -> list[Finding]:
    """Return a block where the file is larger than its numbers need."""
    most = rules.bytes_beside + rules.bytes_per_number * answer.numbers
    if len(answer.content) <= most:
        return []
    accepted = f"{rules.bytes_per_number} bytes for each number and {rules.bytes_beside} beside"
    return [Finding("model_budget", _BLOCK, accepted, None, len(answer.content), most, place="bytes")]


def check_size(evidence: Evidence, rules: ModelRules) -> list[Finding]:
    """Return blocks where the model has too many numbers for its training table, or too few degrees of freedom."""
    found = []
    most = int(rules.number_share * evidence.cells)
    if evidence.free > most:
        accepted = (
            f"at most {rules.number_share} fitted numbers for each cell of the training table (people by columns)"
        )
        found.append(Finding("model_budget", _BLOCK, accepted, None, evidence.free, most, place="numbers"))
    # Each tree, and any model without trees, is a fit of its own to the same people.
    each = evidence.leaves / evidence.trees if evidence.trees else evidence.free
    left = int(evidence.entities - each)
    if left < rules.min_dof:
        accepted = f"at least {rules.min_dof} more people than fitted numbers (leaves of a tree)"
        found.append(Finding("model_dof", _BLOCK, accepted, None, left, rules.min_dof))
    return found


def check_people(evidence: Evidence, rules: ModelRules) -> list[Finding]:
    """Return blocks for leaves, categories and classes with too few people behind them, and for told extremes."""
    found = []
    least = rules.leaf_entities
    for place, figure in (
        ("leaves", evidence.leaf), ("categories", evidence.category), ("classes", evidence.class_least)
    ):  # fmt: skip
        if figure is not None and figure < least:
            accepted = f"at least {least} people of the training rows behind each"
            found.append(Finding("model_leaf", _BLOCK, accepted, None, figure, least, place=place))
    if evidence.extremes:
        accepted = "scales by mean and deviation: a range tells the smallest and largest value of few"
        found.append(Finding("extreme", _BLOCK, accepted, None, evidence.extremes, 0, place="scales"))
    return found


def check_rows(evidence: Evidence, rules: ModelRules) -> list[Finding]:
    """Return a finding where rows of the release stand among the model's numbers."""
    if not evidence.overlap_people:
        return []
    severity = _BLOCK if evidence.overlap_people >= rules.overlap_people else _REVIEW
    accepted = f"numbers that are no rows of the release (fewer than {rules.overlap_people} people's)"
    share = f"{evidence.overlap_share:.1%} of all people"
    return [Finding("model_rows", severity, accepted, None, evidence.overlap_people, rules.overlap_people, place=share)]


def check_membership(evidence: Evidence, rules: ModelRules) -> list[Finding]:
    """Return what the attacks of membership say, on average, at few false alarms, and for single people."""
    if not evidence.attacks:
        return [Finding("model_evidence", _BLOCK, "attacks that were run", place="membership")]
    found = [one for attack in evidence.attacks for one in _check_attack(attack, rules)]
    # What one look says wrongly of outsiders it would say of as large a share of members by chance.
    chance = (evidence.exposed_wrongly + 1) / (evidence.holdout + 1)
    expected = chance * evidence.entities
    if evidence.exposed > expected + 3 * expected**0.5:
        accepted = "a model in which no single person stands out"
        found.append(
            Finding("membership_record", _REVIEW, accepted, None, evidence.exposed, int(expected), place="people")
        )
    if evidence.holdout_gain - 3 * evidence.holdout_error > rules.holdout_gain:
        accepted = "a holdout that the model never saw (workbench.split)"
        found.append(
            Finding("model_holdout", _BLOCK, accepted, None, round(evidence.holdout_gain, 3), rules.holdout_gain)
        )
    return found


def _check_attack(attack: Attack, rules: ModelRules) -> list[Finding]:
    found = []
    severity = _BLOCK if attack.low > rules.auc_block else _REVIEW if attack.low > rules.auc_review else _NOTE
    limit = rules.auc_block if severity is _BLOCK else rules.auc_review
    interval = f"{attack.name}: AUC {attack.auc:.3f} ({attack.low:.3f} to {attack.high:.3f})"
    accepted = f"a lower end of at most {rules.auc_review} (review) and {rules.auc_block} (block)"
    found.append(Finding("membership", severity, accepted, None, round(attack.low, 4), limit, place=interval))
    low = attack.tpr_1_low
    if low > rules.tpr_review:
        severity = _BLOCK if low > rules.tpr_block else _REVIEW
        thousandth = "" if attack.tpr_01 is None else f", {attack.tpr_01:.3f} at 0.1 %"
        place = f"{attack.name}: {attack.tpr_1:.3f} of members at 1 % false alarms{thousandth}"
        limit = rules.tpr_block if severity is _BLOCK else rules.tpr_review
        accepted = f"a lower end of at most {rules.tpr_review} (review) and {rules.tpr_block} (block)"
        found.append(Finding("membership_tail", severity, accepted, None, round(low, 4), limit, place=place))
    return found


def check_attributes(evidence: Evidence, specification: ModelSpecification, rules: ModelRules) -> list[Finding]:
    """Return what attribute inference says of each sensitive column; one that was not measured blocks."""
    measured = {one.column: one for one in evidence.attributes}
    found = []
    for name in specification.sensitive:
        if name not in specification.columns:
            accepted = "a column of the model, whose value could be tried"
            found.append(Finding("attribute_inference", _NOTE, accepted, place=f"column {name}"))
        elif name not in measured:
            found.append(Finding("model_evidence", _BLOCK, "an attack that was run", place=f"attribute {name}"))
        elif (low := measured[name].low) > rules.advantage_review:
            severity = _BLOCK if low > rules.advantage_block else _REVIEW
            limit = rules.advantage_block if severity is _BLOCK else rules.advantage_review
            accepted = f"an advantage over outsiders of at most {rules.advantage_review} (lower end)"
            place = f"column {name}: advantage {measured[name].advantage:.3f}"
            found.append(Finding("attribute_inference", severity, accepted, None, round(low, 4), limit, place=place))
    return found


def check_quality(evidence: Evidence) -> list[Finding]:
    """Return a review where the model says nothing of its target: then its numbers are there for something else."""
    place = f"{evidence.quality:.3f} for the held out, {evidence.quality_baseline:.3f} without a model"
    if evidence.quality > evidence.quality_baseline:
        return [Finding("model_quality", _NOTE, "better than no model", place=place)]
    accepted = "a model that does better for the held out than one that knows the target's distribution alone"
    return [
        Finding(
            "model_quality", _REVIEW, accepted, None, round(evidence.quality, 4), round(evidence.quality_baseline, 4),
            place=place,
        )
    ]  # fmt: skip


def check_privacy(told: Privacy, evidence: Evidence, rules: ModelRules) -> list[Finding]:
    """Return what the accountant says of a declared training, and whether the attacks contradict it."""
    spent = spent_epsilon(told)
    if spent > told.epsilon * (1 + 1e-6):
        figure = round(spent, 4) if spent != float("inf") else None
        accepted = "an epsilon of at least what the declared training spends, by the declared accountant"
        return [Finding("model_privacy", _BLOCK, accepted, None, figure, told.epsilon, place="epsilon")]
    found = []
    most = most_found(spent, told.delta, 0.01)
    worst = max((one.tpr_1_low for one in evidence.attacks), default=0.0)
    if worst > most:
        accepted = "attacks that find no more members than (epsilon, delta) allows"
        found.append(Finding("model_privacy", _BLOCK, accepted, None, round(worst, 4), round(most, 4), place="attacks"))
    severity = _REVIEW if spent > rules.epsilon_review else _NOTE
    place = f"epsilon {spent:.3f} at delta {told.delta:g}, {told.mechanism}, {told.accountant}, as declared"
    accepted = f"an epsilon of at most {rules.epsilon_review}; the training itself is not proved by it"
    found.append(Finding("model_privacy", severity, accepted, None, round(spent, 4), rules.epsilon_review, place=place))
    return found
