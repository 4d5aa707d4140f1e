"""Where a product's index lies, and what its key is derived for."""

from __future__ import annotations

from pathlib import Path

KEY_PURPOSE = "verification-index"


def index_folder(folder: Path, product_id: str) -> Path:
    """Return where a product's index lies."""
    return folder / product_id / "index"
