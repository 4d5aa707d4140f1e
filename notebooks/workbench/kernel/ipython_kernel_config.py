# ruff: noqa: INP001 - a file of its own in the environment, no part of a package
"""Read by every kernel of this environment: it joins workbench's magics and completions to the kernel's shell."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.InteractiveShellApp.extensions = ["workbench"]
