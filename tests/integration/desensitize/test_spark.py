"""The tests of Spark, started in Spark's own environment (`setup_spark` in script/setup.sh makes it)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-spark" / "bin" / "python"
CHECKS = ROOT / "tests" / "spark"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-spark; script/test --full makes it")
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java; Spark needs openjdk-17-jre-headless")
def test_spark_gives_what_one_machine_gives() -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "COV"))}
    run = subprocess.run(
        [PYTHON, "-m", "pytest", "-c", CHECKS / "pytest.ini", CHECKS, "-q"],
        cwd=ROOT,
        env=outside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
