"""Copying a log while its owner appends to it, for backups."""

from __future__ import annotations

import shutil
from pathlib import Path

from shuzha.ledger.layout import CHECKPOINT, CHECKPOINTS, ENTRIES, HASHES, OFFSETS, PUBLIC_KEY
from shuzha.ledger.reader import read_public_key

COPY_ORDER = (PUBLIC_KEY, CHECKPOINTS, CHECKPOINT, HASHES, OFFSETS)
"""What is signed first, then what follows from the entries, the entries last: each is covered by what comes after."""

HALF_WRITTEN = ".new"
"""Files of this ending are being written; they become others when they are whole, and are never copied."""


def copy_rank(path: Path) -> tuple[bool, Path]:
    """Return the key by which a folder with logs in it is copied file by file: by name, but entries last."""
    return (path.parent.name == ENTRIES, path)


def copy_log(source: Path, target: Path) -> None:
    """Copy a log's folder into the new folder `target`; raises NotFound where there is no log.

    The copy verifies, opens, and holds at least every entry that was acknowledged before the call.
    """
    read_public_key(source)
    (target / ENTRIES).mkdir(parents=True)
    for name in COPY_ORDER:
        shutil.copyfile(source / name, target / name)
    for path in sorted((source / ENTRIES).glob("*.jsonl")):
        shutil.copyfile(path, target / ENTRIES / path.name)
