"""Marks: a table that each buyer gets with least digits of its own, so that a leaked copy names who leaked it."""
