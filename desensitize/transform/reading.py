"""Reading values as they are written in practice: full-width digits and letters, blanks around them, mixed case."""

from __future__ import annotations

from desensitize.leaves import narrow, normalize_text

__all__ = ["narrow", "normalize_text"]
