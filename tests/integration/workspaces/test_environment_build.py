"""Environments are really built, from hashed lists of wheels made here, and tried in a real jail before their use."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace_kit import ROOT

from sandbox.workspaces.environment.build import EnvironmentBuilder
from sandbox.workspaces.environment.packages import Lists, list_installed
from shuzha.core.errors import Invalid, Unavailable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="a new environment is tried in a jail of bubblewrap"),
    pytest.mark.skipif(not (ROOT / ".venv-tools").exists(), reason="the installer is made by script/setup.sh"),
]
SULKY = "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=1)\n"


def make_wheel(folder: Path, name: str, code: str) -> str:
    """Make a wheel with one module and return the line that pins it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in files.items():
            wheel.writestr(inner, text)
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that a jail's user may pass through, with lists that name a base of one package."""
    folder = Path(tempfile.mkdtemp(prefix="sze-", dir="/tmp"))
    folder.chmod(0o711)
    (folder / "sandbox.in").write_text("polars\n")
    pinned = make_wheel(folder / "wheels", "polars", "")
    (folder / "sandbox.txt").write_text(f"--no-index\n--find-links {folder / 'wheels'}\n{pinned}")
    approve(folder, "greet", "hello = 'hello'\n")
    yield folder
    shutil.rmtree(folder)


def approve(place: Path, name: str, code: str) -> None:
    """Put a package on the approved list."""
    line = make_wheel(place / "wheels", name, code)
    with (place / "sandbox-approved.in").open("a") as asked, (place / "sandbox-approved.txt").open("a") as pinned:
        asked.write(f"{name}  # MIT; greeting\n")
        pinned.write(line)


def test_build_makes_tries_and_switches_and_a_bad_package_changes_nothing(place: Path) -> None:
    builder = EnvironmentBuilder(place / "env", ROOT, Lists(place))
    built = builder.build()
    assert builder.is_current()
    assert (built.fresh, built.before) == (True, None)
    assert set(list_installed(place / "env")) == {"polars", "greet", "shuzha-workbench"}
    python = place / "env" / "bin" / "python"
    for command in ([python, "-m", "pip"], [python.with_name("pip")], [python.with_name("uv"), "pip"]):
        told = subprocess.run([*command, "install", "x"], capture_output=True, text=True, check=False)
        assert told.returncode == 1
        assert "Ask the authority" in told.stderr
    panel = json.loads((place / "env/share/jupyter/labextensions/shuzha-panel/package.json").read_text())
    assert panel["name"] == "shuzha-panel"
    assert (place / "env/etc/ipython/ipython_kernel_config.py").exists()
    assert list((place / "env").glob("lib/python3*/site-packages/__pycache__/greet.*.pyc")), "compiled: it is read-only"
    again = builder.build()
    assert (again.fresh, again.hash) == (False, built.hash)

    approve(place, "sulky", SULKY)
    assert not builder.is_current()
    with pytest.raises(Invalid, match=r"sulky: \w+Error"):
        builder.build()
    assert (place / "env").resolve() == built.folder, "what was in use stays in use"


def test_build_refuses_a_file_that_is_not_the_one_that_was_approved(place: Path) -> None:
    wheel = place / "wheels" / "greet-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(Unavailable, match="failed to install"):
        EnvironmentBuilder(place / "env", ROOT, Lists(place)).build()
    assert not (place / "env").exists()
