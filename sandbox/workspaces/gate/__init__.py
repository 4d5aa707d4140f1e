"""The gate: the proxy in front of every workspace. It decides routes, counts bytes and obeys suspension.

The *out gate* is the one unix socket by which a jailed server reaches the hub's API, a few routes of it.
"""
