# ruff: noqa: INP001 - a file of its own in the environment, no part of a package
"""Stands where pip would: `python -m pip` in a workspace says where to ask, instead of failing on a network."""

from workbench.packages import refuse

if __name__ == "__main__":
    refuse()
