"""Workspaces: one scenario of one authorization, as one jailed JupyterHub server behind the gate.

Words of this package:

- *jail*: the bubblewrap container in which a workspace's Jupyter server and kernels run, without any network;
- *gate*: the proxy in front of every workspace; it decides routes, counts bytes and obeys suspension;
- *out gate*: the one unix socket by which a jailed server reaches the hub's API, a few routes of it;
- *platform socket*: the unix socket by which a notebook asks the platform (typed verbs only); identity is the socket;
- *controls*: what the platform has ordered about workspaces (suspended, why, screen budget), read by the gate;
- *clean room*: a jail with a kernel and nothing else, in which a submitted notebook is run again.
"""
