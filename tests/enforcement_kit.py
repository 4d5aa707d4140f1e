"""Which verbs and routes ask `decide()` before they act: read from their source, resolved on the real objects.

A *reader* walks a function in the order in which it runs. A name is looked up where the running program would look it
up (the instance, the closure, the module), so `self._room.verb` leads to the very method that is called. What cannot
be looked up counts for nothing: a doubt is a finding, never a pass.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from policies import Policies
from shuzha.core.work import Work

ROOT = Path(__file__).parents[1]
ASKING = frozenset({"check", "decide", "can"})
WRITES = frozenset({"add", "save", "emit"})
DEEDS = frozenset(
    {
        "KeyRing.destroy_scenario_key", "ReleaseBuilder.remove", "LocalHost.destroy", "LocalHost.prepare",
        "LocalHost.start", "LocalHost.release", "OwnZone.destroy",
    }
)  # fmt: skip
"""What changes the host and not the records: nobody may do it unasked either."""

_MISSING = object()


class Outcome(StrEnum):
    """What a function does first: ask, act, or (a way through it that does) neither; `SOMETIMES` asks on one way."""

    ASKS = "asks"
    ACTS = "acts before it asks"
    SOMETIMES = "asks on some ways only"
    NOTHING = "never asks"


_NO, _YES, _ACT, _SOME = Outcome.NOTHING, Outcome.ASKS, Outcome.ACTS, Outcome.SOMETIMES


class Choice(tuple[Any, ...]):
    """Several objects, one of which is called."""

    __slots__ = ()


class Local:
    """A function or lambda written inside the one that is read."""

    def __init__(self, node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
        self.node = node
        self.frame = frame


class Reader:
    """Reads functions; `asking` are the methods of `Policies` that count as asking (none, to test the test)."""

    def __init__(self, asking: frozenset[str] = ASKING) -> None:
        self.asking = asking
        self._known: dict[Any, Outcome] = {}
        self._kept: list[Any] = []

    def read(self, function: Any, given: Mapping[str, Any] | None = None) -> Outcome:
        """Return what a function, bound method or partial does first; `given` are arguments that are known."""
        while isinstance(function, functools.partial):
            function = function.func
        receiver = getattr(function, "__self__", None)
        plain = inspect.unwrap(getattr(function, "__func__", function))
        if isinstance(receiver, Policies) and plain.__name__ in ASKING:
            return _YES if plain.__name__ in self.asking else _NO
        if isinstance(receiver, Work) and plain.__name__ in WRITES:
            return _ACT
        if receiver is not None and f"{type(receiver).__name__}.{getattr(plain, '__name__', '')}" in DEEDS:
            return _ACT
        code = getattr(plain, "__code__", None)
        if code is None or not _is_ours(code.co_filename):
            return _NO
        known = dict(given or {})
        cells = tuple(id(_content(cell)) for cell in plain.__closure__ or ())
        key = (code, id(receiver), cells, tuple((name, id(value)) for name, value in known.items()))
        if key not in self._known:
            self._known[key] = _NO
            self._kept.append((function, known))
            node = _node_of(code)
            if node is not None:
                self._known[key] = Frame(self, plain, receiver, known).run(node)
        return self._known[key]


class Frame:
    """One function while it is read: what its names mean."""

    def __init__(self, reader: Reader, function: Any, receiver: Any, given: Mapping[str, Any]) -> None:
        self._reader = reader
        self._names: dict[str, Any] = dict(given)
        closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self._names.update((name, _content(cell)) for name, cell in closure)
        self._globals = function.__globals__
        if receiver is not None:
            first = next(iter(inspect.signature(function).parameters), "")
            self._names[first] = receiver

    def run(self, node: Any) -> Outcome:
        """Return what the function of this node does first."""
        return self._value(node.body) if isinstance(node, ast.Lambda) else self._block(node.body)

    def _block(self, statements: Iterable[ast.stmt]) -> Outcome:
        seen = _NO
        for statement in statements:
            found = self._statement(statement)
            if found in (_YES, _ACT):
                return found
            seen = _SOME if _SOME in (found, seen) else _NO
        return seen

    def _statement(self, node: ast.stmt) -> Outcome:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._names[node.name] = Local(node, self)
                return _NO
            case ast.ClassDef():
                return _NO
            case ast.If():
                return self._first(lambda: self._value(node.test), lambda: self._ways((node.body, node.orelse)))
            case ast.Match():
                ways = [case.body for case in node.cases]
                return self._first(lambda: self._value(node.subject), lambda: self._ways(ways))
            case ast.For() | ast.AsyncFor():
                # Where there is nothing to go through, nothing is done either.
                return self._first(lambda: self._value(node.iter), lambda: self._block(node.body))
            case ast.While():
                return self._first(lambda: self._value(node.test), lambda: self._block(node.body))
            case ast.With() | ast.AsyncWith():
                asked = [lambda item=item: self._value(item.context_expr) for item in node.items]
                return self._first(*asked, lambda: self._block(node.body))
            case ast.Try():
                return self._first(
                    lambda: self._block(node.body),
                    *(lambda one=one: self._block(one.body) for one in node.handlers),
                    lambda: self._block(node.finalbody),
                )
            case ast.Assign() | ast.AnnAssign():
                return self._bind(node)
        return self._first(*(lambda one=one: self._value(one) for one in ast.iter_child_nodes(node)))

    def _bind(self, node: ast.Assign | ast.AnnAssign) -> Outcome:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is None:
            return _NO
        for target in targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    self._names[name.id] = self._find(value)
        return self._value(node.value)

    def _ways(self, ways: Iterable[list[ast.stmt]]) -> Outcome:
        # A way that ends here (it raises or returns) without acting takes nobody past the question.
        found = [(self._block(body), bool(body) and isinstance(body[-1], ast.Raise | ast.Return)) for body in ways]
        if any(one is _ACT for one, _ in found):
            return _ACT
        going_on = [one for one, ended in found if not ended]
        if all(one is _YES for one, _ in found) or (going_on and all(one is _YES for one in going_on)):
            return _YES
        return _SOME if any(one in (_YES, _SOME) for one, _ in found) else _NO

    @staticmethod
    def _first(*steps: Callable[[], Outcome]) -> Outcome:
        seen = _NO
        for step in steps:
            found = step()
            if found in (_YES, _ACT):
                return found
            seen = _SOME if _SOME in (found, seen) else _NO
        return seen

    def _value(self, node: ast.AST) -> Outcome:
        match node:
            case ast.Lambda():
                return _NO
            case ast.Call():
                return self._call(node)
            case ast.IfExp():
                return self._first(lambda: self._value(node.test), lambda: self._either(node.body, node.orelse))
            case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                parts = [part for one in node.generators for part in (one.iter, *one.ifs)]
                last = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return self._first(*(lambda one=one: self._value(one) for one in (*parts, *last)))
        return self._first(*(lambda one=one: self._value(one) for one in ast.iter_child_nodes(node)))

    def _either(self, *nodes: ast.AST) -> Outcome:
        return _together([self._value(node) for node in nodes])

    def _call(self, node: ast.Call) -> Outcome:
        given = [*node.args, *(one.value for one in node.keywords)]
        called = self._find(node.func)
        if isinstance(node.func, ast.Attribute):
            base = node.func.value
            if node.func.attr in WRITES and isinstance(base, ast.Name) and base.id == "work":
                return _ACT
        return self._first(
            *(lambda one=one: self._value(one) for one in given),
            lambda: self._value(node.func) if called is _MISSING else self._outcome(called, self._given(called, node)),
            *(lambda one=one: self._later(one) for one in given),
        )

    def _given(self, called: Any, node: ast.Call) -> dict[str, Any]:
        """Return the arguments of a call that are known here, by the names that the called function has for them."""
        plain = any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords)
        if plain or not inspect.isroutine(called):
            return {}
        try:
            bound = inspect.signature(called).bind_partial(
                *(self._find(one) for one in node.args),
                **{one.arg or "": self._find(one.value) for one in node.keywords},
            )
        except (TypeError, ValueError):
            return {}
        return {name: value for name, value in bound.arguments.items() if _leads_on(value)}

    def _later(self, node: ast.expr) -> Outcome:
        """Return what a function that is handed over does, as if it were called now."""
        found = self._find(node)
        callable_ = isinstance(found, Local | Choice) or inspect.isroutine(found)
        return self._outcome(found) if callable_ or isinstance(found, functools.partial) else _NO

    def _outcome(self, found: Any, given: Mapping[str, Any] | None = None) -> Outcome:
        if isinstance(found, Choice):
            return _together([self._outcome(one) for one in found])
        if isinstance(found, Local):
            return found.frame.run(found.node)
        if inspect.isclass(found) or not callable(found):
            return _NO
        if not inspect.isroutine(found) and not isinstance(found, functools.partial):
            found = type(found).__call__.__get__(found)
        return self._reader.read(found, given)

    def _find(self, node: ast.AST) -> Any:
        """Return the object that an expression names, or `_MISSING`."""
        match node:
            case ast.Lambda():
                return Local(node, self)
            case ast.Name():
                for names in (self._names, self._globals, vars(builtins)):
                    if node.id in names:
                        return names[node.id]
            case ast.Attribute():
                base = self._find(node.value)
                if base is not _MISSING and not isinstance(base, Local | Choice):
                    return _attribute(base, node.attr)
            case ast.Dict():
                return _choice(self._find(one) for one in node.values)
            case ast.IfExp():
                return _choice((self._find(node.body), self._find(node.orelse)))
            case ast.Subscript():
                base = self._find(node.value)
                if isinstance(base, dict):
                    return _choice(base.values())
                return base if isinstance(base, Choice) else _MISSING
            case ast.Call(func=ast.Name(id="partial"), args=[first, *_]):
                return self._find(first)
        return _MISSING


def _leads_on(value: Any) -> bool:
    """Return whether an argument may lead to a verb: a function, or an object of the house."""
    module = getattr(type(value), "__module__", "").partition(".")[0]
    house = module in {"shuzha", "sandbox", "products", "policies"} and not isinstance(value, enum.Enum)
    return isinstance(value, Local | Choice) or inspect.isroutine(value) or house


def _attribute(base: Any, name: str) -> Any:
    try:
        return getattr(base, name)
    except Exception:  # A property that cannot be read here tells nothing.
        return _MISSING


def _choice(found: Iterable[Any]) -> Any:
    kept = [one for one in found if one is not _MISSING]
    called = [one for one in kept if isinstance(one, Local | Choice) or callable(one)]
    return Choice(called) if called else _MISSING


def _together(found: list[Outcome]) -> Outcome:
    if _ACT in found:
        return _ACT
    if found and all(one is _YES for one in found):
        return _YES
    return _SOME if _YES in found or _SOME in found else _NO


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _is_ours(name: str) -> bool:
    path = Path(name)
    return path.is_relative_to(ROOT) and not any(part.startswith(".venv") for part in path.relative_to(ROOT).parts)


@functools.cache
def _functions_of(file: str) -> dict[tuple[int, str], ast.AST]:
    found: dict[tuple[int, str], ast.AST] = {}
    for node in ast.walk(ast.parse(Path(file).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[min([node.lineno, *(one.lineno for one in node.decorator_list)]), node.name] = node
        elif isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), node)
    return found


def _node_of(code: Any) -> ast.AST | None:
    return _functions_of(code.co_filename).get((code.co_firstlineno, code.co_name))


def verbs_of(service: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and bound method of each public method that is told who acts."""
    for name, plain in inspect.getmembers(type(service), inspect.isfunction):
        if not name.startswith("_") and {"actor", "who"} & set(inspect.signature(plain).parameters):
            yield f"{type(service).__name__}.{name}", getattr(service, name)


def jobs_of(service: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and bound method of each public method that is not told who acts."""
    for name, plain in inspect.getmembers(type(service), inspect.isfunction):
        if not name.startswith("_") and not {"actor", "who"} & set(inspect.signature(plain).parameters):
            yield f"{type(service).__name__}.{name}", getattr(service, name)


def rooms_of(platform: Any) -> Iterator[tuple[str, Any]]:
    """Yield every room that the composition root builds, with its name there."""
    for part in reversed(type(platform).__mro__):
        for name, made in vars(part).items():
            if isinstance(made, functools.cached_property):
                yield name, getattr(platform, name)


def routes_of(app: Any) -> Iterator[tuple[str, Any]]:
    """Yield `METHODS path` and the function of each route of an app or router that a caller can reach."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        elif getattr(route, "endpoint", None) is not None:
            yield f"{','.join(sorted(route.methods or ()))} {route.path}", route.endpoint
