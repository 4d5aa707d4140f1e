"""Building the analysts' environment beside the one in use: installed, compiled, checked, tried in a jail, switched to.

Nothing of the one in use is touched before the new one has passed. A folder that a killed build left is built again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.workspaces.environment.fingerprint import environment_hash
from sandbox.workspaces.environment.packages import Lists, switch
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jails.jail import INSIDE_ENVIRONMENT, JailFailed, JailSpec, start_jail
from shuzha.core.errors import Invalid, Unavailable

_MARK = ".built"
_BUILD_SECONDS = 1800
_TRIAL_SECONDS = 300
_TRIAL_UID = 259_998
_TRIAL = """
import importlib, json, sys
from importlib import metadata
places = metadata.packages_distributions()
wanted, failed = set(json.loads(sys.argv[1])), []
for module, names in sorted(places.items()):
    if wanted & {name.lower().replace("_", "-").replace(".", "-") for name in names} and not module.startswith("_"):
        try:
            importlib.import_module(module)
        except BaseException as error:
            failed.append(f"{module}: {type(error).__name__}")
print("TRIED" + json.dumps(failed))
"""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished environment: its folder, the hash of every package in it, what it replaced, whether it was there."""

    folder: Path
    hash: str
    before: Path | None
    packages: int
    fresh: bool


class EnvironmentBuilder:
    """Builds for one installation: `link` is its setting, `root` the repository with lists and workbench."""

    def __init__(self, link: Path, root: Path, lists: Lists | None = None) -> None:
        self._link = link
        self._root = root
        self._lists = lists or Lists(root / "requirements")

    @property
    def target(self) -> Path:
        """The folder that the lists and the workbench of now make; it lies beside the link."""
        workbench = self._root / "notebooks" / "workbench"
        files = [path for path in workbench.rglob("*") if path.is_file() and not _is_cache(path.relative_to(workbench))]
        return self._link.with_name(f"{self._link.name}-{self._lists.digest(files)}")

    def is_current(self) -> bool:
        """Return whether the environment in use was made of the lists and the workbench of now."""
        return self._link.is_symlink() and self._link.resolve() == self.target.resolve()

    def build(self, tell: Callable[[str], None] = lambda _: None) -> Built:
        """Return the environment in use from now on. Refuses lists without hashes and packages that do not fit.

        One that was built before is only switched to. Raises Unavailable with the step that failed; what was in use
        stays in use then.
        """
        target = self.target
        fresh = not (target / _MARK).exists()
        if fresh:
            shutil.rmtree(target, ignore_errors=True)
            tell("installing")
            self._fill(target)
            tell("checking")
            self._check(target)
            tell("trying it in a jail")
            self._try(target)
            (target / _MARK).touch()
        before = switch(self._link, target) if not self.is_current() else None
        count = len(list(target.glob("lib/python3*/site-packages/*.dist-info")))
        return Built(target, environment_hash(target), before, count, fresh)

    def _fill(self, target: Path) -> None:
        script = 'source "$1"; shift; fill_sandbox "$@"'
        files = [str(path) for path in self._lists.files()]
        setup = str(self._root / "script" / "setup.sh")
        _run(["bash", "-c", script, "environment", setup, str(target), *files], self._root, "install")

    def _check(self, target: Path) -> None:
        """Refuse packages whose own demands of each other do not hold."""
        uv = self._root / ".venv-tools" / "bin" / "uv"
        _run([str(uv), "pip", "check", "--python", str(target / "bin" / "python")], self._root, "check")

    def _try(self, target: Path) -> None:
        """Import every approved package as a workspace would: in a jail, by a user of its own, without a network."""
        wanted = json.dumps(sorted(self._lists.approved()))
        python = f"{INSIDE_ENVIRONMENT}/bin/python"
        uid = _TRIAL_UID if os.geteuid() == 0 else os.geteuid()
        limits = Limits(memory_bytes=3 * 1024**3, processes=128)
        variables = (("HOME", "/tmp"), ("MPLCONFIGDIR", "/tmp"), ("LANG", "C.UTF-8"))  # noqa: S108 - the jail's own
        spec = JailSpec(
            "environment-trial", uid, target, (), (python, "-I", "-c", _TRIAL, wanted), variables, limits,
            directory="/tmp", ends_with_parent=True,  # noqa: S108 - likewise
        )  # fmt: skip
        failed = _said_in_jail(spec)
        if failed:
            raise Invalid(
                f"the new environment does not work in a jail: {'; '.join(failed)}", rule="environment.trial",
                accepted="packages that can be imported without a network",
            )  # fmt: skip


def _is_cache(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts[:-1])


def _said_in_jail(spec: JailSpec) -> list[str]:
    """Return what a trial could not import."""
    reading, writing = os.pipe()
    try:
        jail = start_jail(spec, CgroupHost.detect(), output=writing)
    except JailFailed as error:
        os.close(reading)
        raise Unavailable(str(error), rule="environment.trial") from None
    finally:
        os.close(writing)
    assert jail.process is not None
    try:
        with os.fdopen(reading, "r", encoding="utf-8", errors="replace") as said:
            lines = said.read().splitlines()
        jail.process.wait(timeout=_TRIAL_SECONDS)
    finally:
        jail.stop(grace=0)
    told = next((line for line in lines if line.startswith("TRIED")), None)
    if told is None:
        raise Unavailable("the trial of the new environment ended before it was done", rule="environment.trial")
    failed: list[str] = json.loads(told.removeprefix("TRIED"))
    return failed


def _run(command: Sequence[str], place: Path, step: str) -> None:
    done = subprocess.run(
        list(command), cwd=place, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Unavailable(f"the new environment failed to {step}: {' '.join(last)}", rule=f"environment.{step}")
