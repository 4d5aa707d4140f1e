"""Figures that the platform draws itself, from a table that it computed and judged."""
