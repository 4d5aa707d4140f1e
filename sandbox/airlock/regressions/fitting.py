"""Least squares and logistic regression in parts: orthogonal triangles are stacked, so rows never stand all in memory.

Least squares by QR of [X y] part by part (Golub and Van Loan, Matrix Computations, 5.3); logistic by iteratively
reweighted least squares (McCullagh and Nelder, Generalized Linear Models, 2.5). Standard errors: classical, HC1
(MacKinnon and White, 1985), or clustered by entity with the usual factors for few clusters (Cameron and Miller, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import linalg

from sandbox.airlock.regressions.design import Design, Numbers, Part
from sandbox.airlock.specification import Errors, Model

DEPENDENT: Final = 1e-9
ROUNDS: Final = 30
CLOSE: Final = 1e-9
LARGEST: Final = 30.0


class NoFit(Exception):
    """There is no fit: `why` says it without a value, `columns` names the places of the design that are to blame."""

    def __init__(self, why: str, columns: tuple[int, ...] = ()) -> None:
        super().__init__(why)
        self.why = why
        self.columns = columns


@dataclass(frozen=True, slots=True)
class Fit:
    """A fit with what the rules ask of it.

    `leverage` is the largest share that one entity has of its own fitted values (the largest eigenvalue of its block of
    the hat matrix); `present` and `absent` count for each column the entities with another value than zero and with
    zero; `reference` counts for each term of categories those in none of its columns.
    """

    estimates: Numbers
    errors: Numbers
    rows: int
    entities: int
    freedom: int
    explained: float
    left: float
    leverage: float
    present: tuple[int, ...]
    absent: tuple[int, ...]
    reference: dict[int, int]


def fit(design: Design, model: Model, errors: Errors, limit: float) -> Fit:
    """Return the fit of a design; `limit` is the leverage from which an entity is looked at exactly.

    Raises NoFit for columns that follow from others, for no more rows than columns, and for outcomes that the terms
    tell apart wholly (logistic).
    """
    if design.count <= len(design.columns):
        raise NoFit("there are no more rows than columns")
    estimates, triangle = _linear(design) if model is Model.LINEAR else _logistic(design)
    return _describe(design, model, errors, estimates, triangle, limit)


def _linear(design: Design) -> tuple[Numbers, Numbers]:
    triangle = None
    for part in design.parts():
        both = np.column_stack([part.design, part.outcome])
        triangle = _stack(triangle, both)
    return _solve(triangle, design)


def _logistic(design: Design) -> tuple[Numbers, Numbers]:
    estimates = np.zeros(len(design.columns))
    for _ in range(ROUNDS):
        triangle = None
        for part in design.parts():
            ahead = part.design @ estimates
            chance = _chance(ahead)
            weight = np.sqrt(np.maximum(chance * (1 - chance), 1e-12))
            working = ahead + (part.outcome - chance) / weight**2
            both = np.column_stack([part.design, working]) * weight[:, None]
            triangle = _stack(triangle, both)
        fresh, square = _solve(triangle, design)
        moved = float(np.max(np.abs(square @ (fresh - estimates))))
        estimates = fresh
        if moved < CLOSE * (1 + float(np.max(np.abs(square @ fresh)))):
            _check_apart(design, estimates)
            return estimates, square
    raise NoFit("the terms tell the outcomes apart, or the fit does not settle")


def _check_apart(design: Design, estimates: Numbers) -> None:
    """Refuse a fit that is sure of some outcome: the terms tell these rows apart."""
    for part in design.parts():
        if len(part.outcome) and float(np.max(np.abs(part.design @ estimates))) > LARGEST:
            raise NoFit("the terms tell the outcomes apart")


def _chance(ahead: Numbers) -> Numbers:
    chance: Numbers = 1 / (1 + np.exp(-np.clip(ahead, -500, 500)))
    return chance


def _stack(triangle: Numbers | None, rows: Numbers) -> Numbers:
    """Return the triangle of the rows seen so far and these."""
    whole = rows if triangle is None else np.vstack([triangle, rows])
    made = np.linalg.qr(whole, mode="r")
    return np.asarray(made)


def _solve(triangle: Numbers | None, design: Design) -> tuple[Numbers, Numbers]:
    """Return the estimates and the triangle of the design alone; refuses columns that follow from those before."""
    count = len(design.columns)
    if triangle is None or triangle.shape[0] < count:
        raise NoFit("there are no more rows than columns")
    square, aim = triangle[:count, :count], triangle[:count, count]
    length = np.linalg.norm(square, axis=0)
    bad = np.flatnonzero(np.abs(np.diag(square)) <= DEPENDENT * np.maximum(length, np.finfo(float).tiny))
    if len(bad):
        raise NoFit("columns follow from others", tuple(int(one) for one in bad))
    return linalg.solve_triangular(square, aim), square


@dataclass(slots=True)
class _Tally:
    """What is added up over the parts."""

    left: float = 0.0
    total: float = 0.0
    mean: float = 0.0
    seen: int = 0
    entities: int = 0
    leverage: float = 0.0


def _describe(design: Design, model: Model, errors: Errors, estimates: Numbers, triangle: Numbers, limit: float) -> Fit:
    """Return the fit with its errors and its figures by entity, in one more pass over the rows."""
    count = len(design.columns)
    tally, meat = _Tally(), np.zeros((count, count))
    present, absent = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    reference = {term: 0 for term in range(len(design.formula.terms)) if design.dummies_of(term)}
    clusters = 0
    mean = sum(float(part.outcome.sum()) for part in design.parts()) / design.count
    for part in design.parts():
        ahead = part.design @ estimates
        fitted = ahead if model is Model.LINEAR else _chance(ahead)
        residual = part.outcome - fitted
        tally.left += _left(part.outcome, fitted, model)
        tally.total += _left(part.outcome, np.full(len(part.outcome), mean), model)
        weight = np.ones(len(fitted)) if model is Model.LINEAR else np.sqrt(fitted * (1 - fitted))
        whitened = linalg.solve_triangular(triangle, part.design.T, trans="T").T
        entities, codes = np.unique(part.who, return_inverse=True)
        tally.entities += _different(codes[part.known], len(entities))
        clusters += len(entities)
        tally.leverage = max(tally.leverage, _leverage(whitened * weight[:, None], codes, len(entities), limit))
        scores = whitened * residual[:, None]
        if errors is Errors.CLUSTERED:
            scores = _by_code(scores, codes, len(entities))
        meat += scores.T @ scores
        _count(part, codes, len(entities), present, absent)
        for term in reference:
            none = ~(part.design[:, design.dummies_of(term)] != 0).any(axis=1) & part.known
            reference[term] += _different(codes[none], len(entities))
    spread = _spread(triangle, meat, tally.left, design.count, clusters, model, errors)
    return Fit(
        estimates, spread, design.count, tally.entities, min(tally.entities, design.count) - count,
        1 - tally.left / tally.total if tally.total > 0 else 1.0, tally.left / max(tally.total, np.finfo(float).tiny),
        tally.leverage, tuple(map(int, present)), tuple(map(int, absent)), reference,
    )  # fmt: skip


def _left(outcome: Numbers, fitted: Numbers, model: Model) -> float:
    """Return what a fit leaves: squares, or twice the log-likelihood that is missing (deviance)."""
    if model is Model.LINEAR:
        return float(np.sum((outcome - fitted) ** 2))
    sure = np.clip(fitted, 1e-300, 1 - 1e-16)
    return float(-2 * np.sum(outcome * np.log(sure) + (1 - outcome) * np.log1p(-sure)))


def _by_code(rows: Numbers, codes: np.typing.NDArray[np.int64], count: int) -> Numbers:
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count))
    summed: Numbers = np.add.reduceat(rows[order], starts, axis=0) if len(rows) else rows
    return summed


def _leverage(whitened: Numbers, codes: np.typing.NDArray[np.int64], count: int, limit: float) -> float:
    """Return the largest leverage of an entity: exact where it may reach the limit, else the bound by its trace."""
    traces = np.bincount(codes, np.sum(whitened**2, axis=1), minlength=count)
    most = 0.0
    for code in np.flatnonzero(traces >= limit):
        mine = whitened[codes == code]
        most = max(most, float(np.linalg.eigvalsh(mine.T @ mine)[-1]))
    below = traces[traces < limit]
    return max(most, float(below.max())) if len(below) else most


def _count(
    part: Part, codes: np.typing.NDArray[np.int64], count: int, present: np.typing.NDArray[np.int64],
    absent: np.typing.NDArray[np.int64],
) -> None:  # fmt: skip
    """Add for each column the entities that have another value than zero in it, and those that have zero."""
    for place in range(part.design.shape[1]):
        there = part.design[:, place] != 0
        present[place] += _different(codes[there & part.known], count)
        absent[place] += _different(codes[~there & part.known], count)


def _different(codes: np.typing.NDArray[np.int64], count: int) -> int:
    """Return how many different numbers below `count` there are."""
    seen = np.zeros(count, dtype=bool)
    seen[codes] = True
    return int(seen.sum())


def _spread(
    triangle: Numbers, meat: Numbers, left: float, rows: int, clusters: int, model: Model, errors: Errors
) -> Numbers:
    """Return the standard errors."""
    inverse = linalg.solve_triangular(triangle, np.eye(len(triangle)))
    match errors:
        case Errors.CLASSICAL:
            scale = left / (rows - len(triangle)) if model is Model.LINEAR else 1.0
            covariance = inverse @ inverse.T * scale
        case Errors.ROBUST:
            covariance = inverse @ meat @ inverse.T * rows / (rows - len(triangle))
        case Errors.CLUSTERED:
            few = clusters / max(clusters - 1, 1) * (rows - 1) / (rows - len(triangle))
            covariance = inverse @ meat @ inverse.T * few
    spread: Numbers = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return spread
