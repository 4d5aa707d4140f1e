"""Workspaces: one scenario of one authorization, as one jailed JupyterHub server behind the gate.

The modules of this folder are the platform's side: the verbs on workspaces, their records and what a notebook may ask.
The machinery stands in rooms below it, each of which imports only from those after it:

- `hub`: JupyterHub and its spawners;
- `gate`: the proxy in front, which decides routes, counts bytes and obeys suspension;
- `jailer`: the process that starts and ends jails, the only one that may need root;
- `clean_room`: a submitted notebook run again in a jail of its own;
- `environment`: the packages that analysts work with;
- `jails`: bubblewrap containers and their filters;
- `records`: what platform and machinery tell each other by files;
- `host`: control groups, mounts, disk images, sockets.

The *platform socket* is the unix socket by which a notebook asks the platform: typed verbs, identity is the socket.
"""
