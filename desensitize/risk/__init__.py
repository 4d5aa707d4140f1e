"""Risk: how likely a person is found again in a table, measured and judged by policy data."""
