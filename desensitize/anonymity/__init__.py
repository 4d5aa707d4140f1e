"""Anonymity: the least generalization under which the rows of a table meet a privacy model."""
