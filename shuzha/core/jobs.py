"""Long work, on Huey's queue in a database file: SQLite here, any database that its SQL storage speaks at scale.

A job is a registered function that is called with ids only and bears a repeat: it looks at the state of the thing
first. Jobs are asked for by outbox subscribers, so a job exists exactly when its change was committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey

from shuzha.core.errors import NotFound, ShuzhaError

JobFunction = Callable[..., None]

log = logging.getLogger(__name__)


class Jobs:
    """The queue of one installation; the worker process consumes it, every process may put into it."""

    def __init__(self, path: Path, *, immediate: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._huey = SqliteHuey("shuzha", filename=str(path), immediate=immediate, immediate_use_memory=False)
        self._functions: dict[str, JobFunction] = {}
        self._task = self._huey.task(retries=3, retry_delay=2, name="shuzha.job")(self._run)

    def register(self, name: str, function: JobFunction) -> None:
        """Make `function` known as job `name`."""
        self._functions[name] = function

    def enqueue(self, name: str, *arguments: str) -> None:
        """Ask for a job; refuses a name that nobody registered."""
        if name not in self._functions:
            raise NotFound(f"no job named {name}")
        self._task(name, *arguments)

    def pending(self) -> int:
        """Return how many jobs wait."""
        return int(self._huey.pending_count())

    def start_consumer(self, workers: int = 2) -> Any:
        """Run the jobs in background threads of this process; the returned consumer has `stop(graceful=True)`."""
        consumer = self._huey.create_consumer(
            workers=workers, initial_delay=0.05, max_delay=0.2, check_worker_health=False
        )
        consumer.start()
        return consumer

    def run_all(self) -> int:
        """Run every waiting job in this thread and return how many: for tests and one-shot commands."""
        count = 0
        while (task := self._huey.dequeue()) is not None:
            self._huey.execute(task)
            count += 1
        return count

    def _run(self, name: str, *arguments: str) -> None:
        try:
            self._functions[name](*arguments)
        except ShuzhaError as error:
            log.warning("job %s(%s) was refused: %s", name, ", ".join(arguments), error)
            raise
