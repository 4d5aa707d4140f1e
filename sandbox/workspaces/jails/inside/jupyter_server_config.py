"""Settings of the Jupyter server in a jail. Root owns this folder and the jail sees it read-only."""

import sys

sys.dont_write_bytecode = True
sys.path.append("/etc/jupyter")

import shuzha_server  # type: ignore[import-not-found]  # noqa: E402

shuzha_server.configure(get_config())  # type: ignore[name-defined]  # noqa: F821
