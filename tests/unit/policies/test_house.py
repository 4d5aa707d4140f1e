"""The house asks for permissions that exist, and each verb of each lifecycle has one."""

import ast
import importlib
from pathlib import Path

from policies import Permission
from shuzha.core.lifecycle import Lifecycle

ROOT = Path(__file__).parents[3]
PACKAGES = ("shuzha", "sandbox", "products")
ASKING = {"check", "decide", "can", "_check", "_decide", "_can"}


def sources():
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def asked_permissions():
    """Yield each permission written in a call of check, decide or can, with its place."""
    for path in sources():
        text = path.read_text("utf-8")
        if not any(f".{name}(" in text for name in ASKING):  # most files ask nothing, and parsing takes its time
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                not isinstance(node, ast.Call)
                or not isinstance(node.func, ast.Attribute)
                or node.func.attr not in ASKING
            ):
                continue
            for argument in node.args[:3]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and ":" in argument.value:
                    yield argument.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_permission_that_the_code_asks_for_exists():
    asked = list(asked_permissions())
    unknown = [(permission, place) for permission, place in asked if permission not in set(Permission)]
    assert asked
    assert unknown == []


def test_every_lifecycle_verb_has_its_permission():
    missing = []
    for path in sources():
        if not path.name.endswith("model.py"):
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for value in vars(module).values():
            if isinstance(value, Lifecycle):
                missing += [permission for permission in value.permissions() if permission not in set(Permission)]
    assert missing == []
