"""Regressions that the platform fits itself: a closed formula, its design, the fit, and what the rules say of it."""
