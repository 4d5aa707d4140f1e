"""Casbin, held so that its measured defects cannot reach a decision.

- Plain `Enforcer` only: `FastEnforcer` shares one filter between threads and allows what must be denied.
- Lines are typed values put in directly. No CSV adapter (a comma or a parenthesis in a name breaks every later
  decision), no adapter that removes too much, no table in which two processes store one line twice.
- The matcher is a file of ours, without string literals (Casbin rewrites `||` and `!` inside them) and without `eval`.
- An enforcer without lines is never asked: Casbin would compare the request with empty strings and could allow it.
- Nothing is added or removed after construction: a changed scope is a new enforcer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import casbin
from casbin.util import SimpleEval

Line = tuple[Any, ...]


class TinyEnforcer:
    """A few lines of one Casbin model, made once and only read afterwards; safe from any thread."""

    def __init__(self, model_name: str, lines: Iterable[Line]) -> None:
        model = casbin.Enforcer.new_model(text=_model_text(model_name))
        self._lines = tuple(dict.fromkeys(lines))
        width = len(model["p"]["p"].tokens)
        if any(len(line) != width for line in self._lines):
            raise ValueError(f"a line of {model_name} does not have {width} columns")
        model["p"]["p"].policy = list(self._lines)
        self._enforcer = _ParsedOnceEnforcer(model)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The policy lines, each once."""
        return self._lines

    def find_line(self, *request: Any) -> Line | None:
        """Return the line that allows the request, or None; raises where the request is not of the model's types."""
        if not self._lines:
            return None
        allowed, line = self._enforcer.enforce_ex(*request)
        if allowed is not True or not line:
            return None
        return tuple(line)


class _ParsedOnceEnforcer(casbin.Enforcer):  # type: ignore[misc]
    """Casbin's plain enforcer, its matcher parsed once.

    Casbin parses it anew on each call (25 of 38 us). Only the immutable syntax tree is kept: the evaluator holds the
    request's values, so sharing one between threads would mix their requests, and each call gets its own.
    """

    def _get_expression(self, expr: str, functions: Mapping[str, Any] | None = None) -> SimpleEval:
        kept = self.__dict__.setdefault("_kept_trees", {})
        tree = kept.get(expr)
        if tree is None:
            tree = kept[expr] = super()._get_expression(expr, functions).ast_parsed_value
        fresh = SimpleEval("", functions)
        fresh.ast_parsed_value = tree
        return fresh


def _model_text(name: str) -> str:
    return (resources.files("policies") / name).read_text("utf-8")
