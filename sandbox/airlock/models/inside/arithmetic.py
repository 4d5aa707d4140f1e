"""The arithmetic of programs: what each step does to a table of rows, with numpy alone and no loop that data steers.

Every operation stands in `OPERATIONS`; a program with another one is refused by `run`. A value is a matrix of rows by
columns (or a vector); numbers are float64, and trees compare in float32 as the libraries do that grow them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.program import Array, Program, Step

Watch = Callable[[Step, Array], None]
"""Told each step with its first input before it is done."""

Operation = Callable[[tuple[Array, ...], Mapping[str, Any]], tuple[Array, ...]]

MOST_DEPTH: Final = 64


class ProgramFault(ValueError):
    """The program cannot be worked out; the message names the step and never a value."""


def run(program: Program, columns: tuple[Array, ...], watch: Watch | None = None) -> Array:
    """Return the program's score, a matrix with one row for each row of `columns`.

    Raises ProgramFault for an unknown step, a value that nothing gave, and shapes that do not fit.
    """
    rows = len(columns[0])
    values: dict[str, Array] = {name: np.asarray(array) for name, array in program.constants.items()}
    for one in program.inputs:
        values[one.name] = stack(tuple(columns[place] for place in one.columns))
    for place, step in enumerate(program.steps, start=1):
        try:
            given = tuple(values[name] for name in step.inputs)
            if watch is not None and given:
                watch(step, given[0])
            with np.errstate(all="ignore"):
                made = OPERATIONS[step.op](given, step.attributes)
            values |= dict(zip(step.outputs, made, strict=False))
        except (KeyError, ValueError, IndexError, TypeError, np.exceptions.AxisError) as error:
            raise ProgramFault(f"step {place} ({step.op}) cannot be done: {type(error).__name__}") from None
    score = values.get(program.output)
    if score is None or score.ndim not in (1, 2) or score.shape[0] != rows:
        raise ProgramFault("the program gives no score for each row")
    return score.reshape(rows, -1)


def stack(columns: tuple[Array, ...]) -> Array:
    """Return columns side by side: float64 where all are numbers, texts and numbers as objects otherwise."""
    if all(column.dtype.kind in "fiub" for column in columns):
        return np.stack([column.astype(np.float64) for column in columns], axis=1)
    return np.stack([column.astype(object) for column in columns], axis=1)


def leaves(trees: Mapping[str, Any], table: Array) -> Array:
    """Return the leaf at which each row ends in each tree: rows by trees, numbers of nodes.

    A node sends a row left when its value is at or below the threshold; a missing value goes where the node says.
    """
    # Whole arrays move down one level at a time, so that the depth of the trees is the only loop.
    table = np.asarray(table, dtype=np.float64).astype(np.float32).astype(np.float64)
    roots = np.asarray(trees["roots"], dtype=np.int64)
    feature, threshold = np.asarray(trees["feature"], dtype=np.int64), np.asarray(trees["threshold"], dtype=np.float64)
    left, right = np.asarray(trees["left"], dtype=np.int64), np.asarray(trees["right"], dtype=np.int64)
    missing = np.asarray(trees["missing"], dtype=bool)
    ended = np.empty((len(table), len(roots)), dtype=np.int64)
    row = np.arange(len(table))
    for place, root in enumerate(roots):
        at = np.full(len(table), root)
        for _ in range(MOST_DEPTH):
            inner = left[at] >= 0
            if not inner.any():
                break
            value = table[row, np.where(inner, feature[at], 0)]
            below = np.where(np.isnan(value), missing[at], value <= threshold[at])
            at = np.where(inner, np.where(below, left[at], right[at]), at)
        else:
            raise ProgramFault(f"a tree is deeper than {MOST_DEPTH}, or leads back to itself")
        ended[:, place] = at
    return ended


def _trees(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    value = np.asarray(attributes["value"], dtype=np.float64)
    ended = leaves(attributes, given[0])
    total = np.zeros((len(ended), value.shape[1]))
    for place in range(ended.shape[1]):
        total += value[ended[:, place]]
    if attributes.get("aggregate") == "mean":
        total /= ended.shape[1]
    return (total + np.asarray(attributes.get("base", 0.0)),)


def _onehot(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    """Return an indicator for each category; a value that is none of them has none."""
    table = given[0] if given[0].ndim > 1 else given[0][:, None]
    made = [matches(table[:, place], category) for place, category in _categories(attributes)]
    return (np.stack(made, axis=1).astype(np.float64),)


def _codes(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    """Return each value's code; a value that has none gets the default."""
    table = given[0] if given[0].ndim > 1 else given[0][:, None]
    codes = np.asarray(attributes["codes"], dtype=np.float64)
    made = np.full(table.shape, float(attributes.get("default", -1.0)))
    for (place, category), code in zip(_categories(attributes), codes, strict=True):
        made[matches(table[:, place], category), place] = code
    return (made,)


def _categories(attributes: Mapping[str, Any]) -> list[tuple[int, Any]]:
    return list(zip((int(one) for one in attributes["place"]), attributes["category"], strict=True))


def matches(column: Array, category: Any) -> Array:
    """Return which values of a column are the category; a number that came as text is compared as a number."""
    if column.dtype.kind in "fiub":
        try:
            return np.asarray(column.astype(np.float64) == float(category))
        except ValueError:
            return np.zeros(len(column), dtype=bool)
    return np.asarray([str(one) == str(category) for one in column], dtype=bool)


def _impute(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    table = np.asarray(given[0], dtype=np.float64)
    return (np.where(np.isnan(table), np.asarray(attributes["fill"], dtype=np.float64), table),)


def _take(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    return (given[0][:, np.asarray(attributes["columns"], dtype=np.int64)],)


def _concat(given: tuple[Array, ...], _: Mapping[str, Any]) -> tuple[Array, ...]:
    wide = [one if one.ndim > 1 else one[:, None] for one in given]
    return (np.concatenate(wide, axis=1),)


def _softmax(given: tuple[Array, ...], _: Mapping[str, Any]) -> tuple[Array, ...]:
    shifted = np.exp(given[0] - given[0].max(axis=-1, keepdims=True))
    return (shifted / shifted.sum(axis=-1, keepdims=True),)


def _gemm(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    left = given[0].astype(np.float64)
    left = left.T if attributes.get("transA") else left
    right = given[1].T if attributes.get("transB") else given[1]
    made = float(attributes.get("alpha", 1.0)) * (left @ right)
    return (made + float(attributes.get("beta", 1.0)) * given[2] if len(given) > 2 else made,)


def _normal(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    table, norm = given[0].astype(np.float64), attributes.get("norm", "L2")
    length = {"MAX": np.abs(table).max(axis=1), "L1": np.abs(table).sum(axis=1), "L2": np.sqrt((table**2).sum(axis=1))}
    size = length[str(norm)][:, None]
    return (np.divide(table, size, out=table.copy(), where=size != 0),)


def _two(given: tuple[Array, ...], _: Mapping[str, Any]) -> tuple[Array, ...]:
    """Return both columns for one that speaks of the second class alone: its complement first."""
    second = given[0].reshape(len(given[0]), -1)[:, -1:]
    return (np.concatenate([1.0 - second, second], axis=1),)


def _share(given: tuple[Array, ...], _: Mapping[str, Any]) -> tuple[Array, ...]:
    total = given[0].sum(axis=1, keepdims=True)
    return (np.divide(given[0], total, out=np.zeros_like(given[0]), where=total != 0),)


def _gaussian(given: tuple[Array, ...], attributes: Mapping[str, Any]) -> tuple[Array, ...]:
    """Return each class's log likelihood under independent normals, the prior added: naive Bayes."""
    mean, spread = np.asarray(attributes["mean"], np.float64), np.asarray(attributes["variance"], np.float64)
    table = given[0].astype(np.float64)
    made = [
        np.log(prior) - 0.5 * np.sum(np.log(2 * np.pi * width) + (table - centre) ** 2 / width, axis=1)
        for prior, centre, width in zip(np.asarray(attributes["prior"]), mean, spread, strict=True)
    ]
    return (np.stack(made, axis=1),)


def _one(function: Callable[[Any], Any]) -> Operation:
    return lambda given, _: (np.asarray(function(given[0].astype(np.float64))),)


def _pair(function: Callable[[Any, Any], Any]) -> Operation:
    return lambda given, _: (np.asarray(function(given[0].astype(np.float64), given[1].astype(np.float64))),)


def _sigmoid(value: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


OPERATIONS: Final[Mapping[str, Operation]] = {
    "Identity": lambda given, _: (given[0],),
    "Trees": _trees,
    "OneHot": _onehot,
    "Codes": _codes,
    "Impute": _impute,
    "Take": _take,
    "Concat": _concat,
    "Softmax": _softmax,
    "Affine": lambda given, a: (given[0].astype(np.float64) @ np.asarray(a["weights"]) + np.asarray(a["bias"]),),
    "Gemm": _gemm,
    "Normal": _normal,
    "Two": _two,
    "Share": _share,
    "Gaussian": _gaussian,
    "Number": lambda given, _: (given[0].astype(np.float64),),
    "Scale": lambda given, a: ((given[0].astype(np.float64) - np.asarray(a["offset"])) * np.asarray(a["scale"]),),
    "Column": lambda given, _: (given[0].reshape(len(given[0]), -1),),
    "Vector": lambda given, _: (given[0].reshape(len(given[0])),),
    "Clip": lambda given, a: (np.clip(given[0], a.get("low", -np.inf), a.get("high", np.inf)),),
    "Relu": _one(lambda value: np.maximum(value, 0.0)),
    "LeakyRelu": lambda given, a: (np.where(given[0] >= 0, given[0], float(a.get("alpha", 0.01)) * given[0]),),
    "Elu": lambda given, a: (np.where(given[0] > 0, given[0], float(a.get("alpha", 1.0)) * np.expm1(given[0])),),
    "Sigmoid": _one(_sigmoid),
    "Tanh": _one(np.tanh),
    "Softplus": _one(lambda value: np.logaddexp(0.0, value)),
    "Exp": _one(np.exp),
    "Log": _one(np.log),
    "Sqrt": _one(np.sqrt),
    "Abs": _one(np.abs),
    "Neg": _one(np.negative),
    "Not": lambda given, _: (~given[0].astype(bool),),
    "Add": _pair(np.add),
    "Sub": _pair(np.subtract),
    "Mul": _pair(np.multiply),
    "Div": _pair(np.divide),
    "MatMul": _pair(np.matmul),
    "Less": _pair(np.less),
    "LessOrEqual": _pair(np.less_equal),
    "Greater": _pair(np.greater),
    "GreaterOrEqual": _pair(np.greater_equal),
    "ArgMax": lambda given, _: (given[0].argmax(axis=1)[:, None],),
    "ReduceSum": lambda given, _: (given[0].sum(axis=1, keepdims=True),),
    "ReduceMean": lambda given, _: (given[0].mean(axis=1, keepdims=True),),
}
"""Every step that a program may have; nothing else is worked out."""
