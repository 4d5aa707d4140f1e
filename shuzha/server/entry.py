"""Where the command `shuzha` begins: Ctrl-C ends it with one line from the first moment on.

The command line itself is imported inside, since that takes longest and may be interrupted too.
"""

from __future__ import annotations

import sys

CANCELLED = 3
"""What an interrupted command ends with, as every other failure."""


def main() -> None:
    """Run the command line; what was interrupted before it could say so is said here."""
    try:
        from shuzha.server.cli import main as run
        from shuzha.server.commands.session import OwnProcess

        run(OwnProcess())
    except KeyboardInterrupt:
        print("shuzha: cancelled", file=sys.stderr)  # noqa: T201 - nothing else is known to be there yet
        sys.exit(CANCELLED)
