"""Storing a table whole or not at all: streamed, with progress, to be cancelled, and to be taken up again.

Words: the *partial folder* is the hidden folder beside the target in which everything is made; it is renamed to the
target at the end. A table may be stored in *parts* of so many rows: a run that was killed leaves its partial folder,
whose finished parts the next run keeps, if its `manifest.json` says that input, plan and key are the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from desensitize.errors import Cancelled, InvalidInput, Unfinished
from desensitize.shuffling import PILES, count_piles, draw_pile, read_piles, to_piles
from desensitize.tables import run_quietly

DATA_FILE = "data.parquet"
MANIFEST_FILE = "manifest.json"
Progress = Callable[[int, int], None]
_LOOK_EVERY = 0.1
_EDGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Watch:
    """What a long run tells and asks: `progress(rows done, rows in all)`, and `cancel()`, true to stop."""

    progress: Progress | None = None
    cancel: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """A table in parts of `rows` rows; `bound` says of what (input, plan, key), so that no parts are ever mixed."""

    rows: int
    bound: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise InvalidInput("a part holds at least one row")


def store(
    frame: pl.LazyFrame,
    target: Path,
    finish: Callable[[pl.LazyFrame, Path], None],
    *,
    parts: Parts | None = None,
    watch: Watch | None = None,
    keep_unfinished: bool = False,
    shuffle: bool = False,
) -> Path:
    """Store a table as Parquet in the new folder `target`; `finish(table, folder)` adds files before it can be seen.

    The folder is its owner's alone (mode 0700) until he opens it. With `shuffle` rows are stored in random order.
    Without parts it is one file `data.parquet`, else `data-00001.parquet` and so on, and parts that an earlier run of
    the same input, plan and key has finished are kept. An error or `cancel` leaves nothing (a run that is killed
    leaves its hidden folder), except parts with `keep_unfinished`.

    Refuses a target that is there, a partial folder in use, one of another input, plan or key, one that is a link or
    another user's, and parts that are to be shuffled.
    """
    if target.exists():
        raise InvalidInput(f"directory `{target.name}` is already there; a release is written once, to a new one")
    if shuffle and parts:
        raise InvalidInput("a shuffled table is not written in parts, which keep the order; leave out part_rows")
    partial = _partial_of(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.mkdir(mode=0o700, exist_ok=True)
    _check_owner(partial)
    with _locked(partial):
        _prepare(partial, parts)
        try:
            rows = run_quietly(lambda: _count(frame)) if parts or (watch and watch.progress) else 0
            watch = watch or Watch()
            made = _shuffle(frame, partial, watch) if shuffle else frame
            names = _store_parts(made, partial, parts.rows if parts else None, rows, watch)
            shutil.rmtree(partial / PILES, ignore_errors=True)
            finish(pl.scan_parquet([partial / name for name in names]), partial)
            (partial / MANIFEST_FILE).unlink(missing_ok=True)
            _sync(*partial.iterdir(), partial)
            partial.rename(target)
            _sync(target.parent)
        except BaseException:
            if not (parts and keep_unfinished):
                shutil.rmtree(partial, ignore_errors=True)
            raise
    return target


def discard_unfinished(target: str | Path) -> None:
    """Remove what a killed run to this target left; nothing there is no error. Refuses one that is running."""
    partial = _partial_of(Path(target))
    if partial.exists():
        _check_owner(partial)
        with _locked(partial):
            shutil.rmtree(partial)


def identify_files(files: list[Path]) -> str:
    """Return a name for the content of files that changes when a file changes: sizes, times, first and last MiB."""
    whole = hashlib.sha256()
    for path in files:
        facts = path.stat()
        whole.update(f"{path.name}\n{facts.st_size}\n{facts.st_mtime_ns}\n".encode())
        with path.open("rb") as handle:
            whole.update(handle.read(_EDGE))
            handle.seek(max(0, facts.st_size - _EDGE))
            whole.update(handle.read(_EDGE))
    return whole.hexdigest()


def _partial_of(target: Path) -> Path:
    return target.parent / f".{target.name}.partial"


def _check_owner(partial: Path) -> None:
    """Refuse a folder that somebody else may have put there: what lies in it is removed, or becomes a release."""
    facts = partial.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise InvalidInput(f"`{partial.name}` is no folder that you alone can write to; remove it, or write elsewhere")


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Keep other runs away from a partial folder; the lock goes with the process, however it ends."""
    handle = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = partial.exists() and os.fstat(handle).st_ino == partial.stat().st_ino
        except BlockingIOError:
            mine = False
        if not mine:
            raise InvalidInput(f"`{partial.name}` is being written by another run; wait for it")
        yield
    finally:
        os.close(handle)


def _prepare(partial: Path, parts: Parts | None) -> None:
    """Empty the partial folder, or take it up if its parts are bound to the same things; refuses parts of others."""
    manifest = partial / MANIFEST_FILE
    bound = {} if parts is None else {**parts.bound, "part_rows": str(parts.rows), "polars": pl.__version__}
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        changed = [name for name in found if found[name] != bound.get(name)]
        if changed:
            raise Unfinished(
                f"`{partial.name}` holds parts of an unfinished release with another {', '.join(changed)}; "
                "finish it as it was begun, or discard it first"
            )
        return
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if parts is not None:
        with _appearing(manifest) as path:
            path.write_text(json.dumps(bound, indent=1), encoding="utf-8")


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Give another name to write under; the file appears under its own name once it is whole and on disk."""
    hidden = path.with_name(f".{path.name}")
    yield hidden
    _sync(hidden)
    hidden.rename(path)


def _count(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def _shuffle(frame: pl.LazyFrame, partial: Path, watch: Watch) -> pl.LazyFrame:
    piles = partial / PILES
    piles.mkdir(mode=0o700)
    count = count_piles(run_quietly(lambda: _count(frame)))
    _sink(frame.with_columns(draw_pile(count)), to_piles(piles), 0, 0, Watch(cancel=watch.cancel))
    return read_piles(piles, frame.collect_schema())


def _store_parts(frame: pl.LazyFrame, folder: Path, part_rows: int | None, rows: int, watch: Watch) -> list[str]:
    """Store what is not there yet and return the names of all parts, in the order of their rows."""
    if part_rows is None or rows <= part_rows:
        starts, names = [0], [DATA_FILE]
    else:
        starts = list(range(0, rows, part_rows))
        names = [f"data-{number:05}.parquet" for number in range(1, len(starts) + 1)]
    for start, name in zip(starts, names, strict=True):
        if not (folder / name).exists():
            part = frame if len(starts) == 1 else frame.slice(start, part_rows)
            with _appearing(folder / name) as path:
                _sink(part, path, start, rows, watch)
    return names


def _sink(frame: pl.LazyFrame, path: Path | pl.PartitionBy, before: int, rows: int, watch: Watch) -> None:
    """Stream a table into a file in a thread of its own, so that this one can look, tell and be interrupted."""
    stop = threading.Event()
    done = [before]

    def count(batch: pl.DataFrame) -> pl.DataFrame:
        if stop.is_set():
            raise Cancelled("the run was cancelled")
        done[0] += batch.height
        return batch

    watched = frame.map_batches(count, streamable=True, schema=frame.collect_schema())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: run_quietly(lambda: watched.sink_parquet(path)))
        try:
            _wait(running, lambda: done[0], rows, stop, watch)
        except BaseException:
            stop.set()
            raise
    running.result()
    if stop.is_set():
        raise Cancelled("the run was cancelled")


def _wait(running: Future[None], done: Callable[[], int], rows: int, stop: threading.Event, watch: Watch) -> None:
    while True:
        finished = wait([running], timeout=_LOOK_EVERY).done
        if watch.cancel is not None and not stop.is_set() and watch.cancel():
            stop.set()
        if watch.progress is not None:
            watch.progress(min(done(), rows), rows)
        if finished:
            return


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
