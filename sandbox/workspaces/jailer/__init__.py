"""The jailer: the only process that may need root.

It starts, measures and ends jails as records say, for a platform that has no rights.
"""
