"""Transforming: the techniques that a plan can name, and the expressions that carry them out."""
