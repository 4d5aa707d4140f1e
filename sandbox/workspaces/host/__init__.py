"""What a host offers for workspaces: control groups, mounts, disk images, homes, sockets.

Nothing here knows of jails or hubs.
"""
