"""A local cluster on the loopback: a driver and two executors in processes of their own, all files in one folder.

PySpark is imported where it is used: the main tests read this file too, in an environment without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MEMORY = 1024


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds whatever Spark writes: executor logs, event log, shuffle files, tables."""
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from spark_kit import KEY

    path = tmp_path_factory.mktemp("keys") / "release.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def session(room: Path) -> Iterator[SparkSession]:
    import pyspark
    from pyspark.sql import SparkSession
    from spark_kit import EXECUTORS

    # Executors put their logs under SPARK_HOME/work, so its parts are linked into a home of the test's own.
    home = room / "home"
    home.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "work":
            (home / part.name).symlink_to(part)
    os.environ |= {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(room / "local"),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "POLARS_MAX_THREADS": "1",
    }
    (room / "events").mkdir()
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": f"{MEMORY - 256}m",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (room / "events").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.sql.session.timeZone": "Asia/Shanghai",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(room / "warehouse"),
        "spark.executor.extraJavaOptions": f"-Djava.io.tmpdir={room}",
    }
    builder = SparkSession.builder.master(f"local-cluster[{EXECUTORS},1,{MEMORY}]").appName("desensitize")
    started = builder.config(map=settings).getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    gateway = started.sparkContext._gateway
    driver: subprocess.Popen[bytes] = gateway.proc
    yield started
    started.stop()
    gateway.shutdown()
    driver.stdin.close()
    try:
        driver.wait(20)
    except subprocess.TimeoutExpired:
        driver.kill()
    shutil.rmtree(room / "local", ignore_errors=True)
