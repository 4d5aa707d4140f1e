"""Shown read-only inside a jail as /etc/jupyter: the settings of the Jupyter server, and what it does differently."""
