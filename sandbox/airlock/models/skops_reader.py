"""skops: an object tree of accepted estimators becomes a program, and is written anew with what prediction needs.

Every object, at any depth, is of an accepted type and has no attribute but the listed ones. Nothing is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from sandbox.airlock.models import skops_steps
from sandbox.airlock.models.inside.program import Input, Program
from sandbox.airlock.models.problems import CODE, EXTRA, FORMAT, STORES, TYPE, ModelRefused, Read
from sandbox.airlock.models.skops_nodes import ElementKind, Estimator, Slice, TypeName, open_file
from sandbox.airlock.models.skops_types import COMMON, JUDGED, SETTINGS, STORING, TYPES
from sandbox.airlock.models.skops_writer import write

_MOST_DEEP: Final = 12
_SHORT: Final = 40
_MOST_SETTINGS: Final = 64
_MOST_ITEMS: Final = 100_000
_NAMED_TYPES: Final = frozenset({"numpy.float64", "numpy.float32", "numpy.int64"})


def read(data: bytes, columns: Sequence[str]) -> Read:
    """Return the model in these bytes, over `columns` in their order; raises ModelRefused for what is not accepted."""
    top, _ = open_file(data)
    if not isinstance(top, Estimator):
        raise ModelRefused(TYPE, "what the file holds", "an estimator")
    types: set[str] = set()
    check(top, types, columns)
    made = skops_steps.Builder(columns)
    try:
        output, classes = made.model(top, "input")
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        if isinstance(error, ModelRefused):
            raise
        raise ModelRefused(FORMAT, "an estimator that is not whole", "a fitted estimator") from None
    given = (Input("input", tuple(range(len(columns)))),)
    program = Program(given, tuple(made.steps), output, classes, {}, made.family)
    return Read("skops", program, write(top), tuple(sorted(name.rpartition(".")[2] for name in types)))


def check(one: Estimator, types: set[str], columns: Sequence[str], deep: int = 0) -> None:
    """Refuse an object that is not of an accepted type, stores rows, or has an attribute that is not listed."""
    if deep > _MOST_DEEP:
        raise ModelRefused(FORMAT, "estimators in estimators", f"at most {_MOST_DEEP} deep")
    short = one.type.removeprefix("sklearn.")
    if one.type.startswith("sklearn.") and short.startswith(STORING):
        accepted = "an estimator that keeps no row: linear, trees, dense layers, naive Bayes, pipelines of them"
        raise ModelRefused(STORES, f"{one.type.rpartition('.')[2]}", accepted)
    kind = TYPES.get(one.type)
    if kind is None:
        rule = TYPE if one.type.startswith("sklearn.") else CODE
        names = ", ".join(sorted(name.rpartition(".")[2] for name in TYPES))
        raise ModelRefused(rule, f"type {one.type}", names)
    types.add(one.type)
    for name in one.nodes:
        if name in kind.left_out:
            continue
        if name not in kind.kept | kind.parts | COMMON | SETTINGS:
            shown = name if re.fullmatch(r"[A-Za-z_]{1,40}", name) else "without a plain name"
            raise ModelRefused(
                EXTRA, f"attribute {shown} of {short.rpartition('.')[2]}", "what its type has when fitted"
            )
        value = one.get(name)
        if name not in JUDGED:
            _check_small(name, value, columns)
        for each in _estimators(value):
            check(each, types, columns, deep + 1)
    _check_alike(one)


def _check_alike(one: Estimator) -> None:
    """Refuse trees of a forest that have other parameters than the first: a place for one more number in each."""
    if "Forest" not in one.type and "ExtraTrees" not in one.type:
        return
    told = [
        {
            name: json.dumps(each.nodes[name].get("content"))
            for name in each.nodes
            if name in SETTINGS - {"random_state"}
        }
        for each in one.get("estimators_")
    ]
    if any(each != told[0] for each in told):
        raise ModelRefused(EXTRA, "trees of a forest with parameters of their own", "the same parameters in each")


def _check_small(name: str, value: Any, columns: Sequence[str]) -> None:
    """Refuse a parameter or a fitted note that is more than a few numbers, short words and names of columns."""
    scalars = list(_scalars(value))
    most = _MOST_SETTINGS + (4 * len(columns) if name not in SETTINGS else 0)
    if len(scalars) > most:
        raise ModelRefused(EXTRA, f"attribute {name}", f"at most {most} numbers and words")
    for one in scalars:
        number = isinstance(one, bool | np.bool_ | float | np.floating)
        whole = isinstance(one, int | np.integer) and abs(int(one)) < 1 << 32
        word = isinstance(one, str) and (len(one) <= _SHORT or one in columns)
        named = isinstance(one, TypeName) and one.name in _NAMED_TYPES
        other = one is None or isinstance(one, Estimator | ElementKind)
        if not (number or whole or word or named or other):
            raise ModelRefused(EXTRA, f"attribute {name}", f"numbers of 32 bits, words of at most {_SHORT} characters")


def _scalars(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [each for one in value for each in _scalars(one)]
    if isinstance(value, dict):
        return [*value, *(each for one in value.values() for each in _scalars(one))]
    if isinstance(value, np.ndarray):
        return [each for one in value.ravel()[:_MOST_ITEMS].tolist() for each in _scalars(one)]
    if isinstance(value, Slice):
        return [value.start, value.stop]
    return [value]


def _estimators(value: Any) -> list[Estimator]:
    if isinstance(value, Estimator):
        return [value]
    if isinstance(value, list | tuple):
        return [each for one in value for each in _estimators(one)]
    if isinstance(value, dict):
        return [each for one in value.values() for each in _estimators(one)]
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [each for one in value.ravel() for each in _estimators(one)]
    return []
