"""JupyterHub as the platform runs it: its configuration, its spawners for one host and for a cluster, its REST API."""
