"""How commands print: a table for people on a terminal, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

console = Console()
error_console = Console(stderr=True)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings and a title, which may be wider than the rows. Nothing in them is markup."""
    console.print(title, style="italic", highlight=False, markup=False)
    table = Table()
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print named facts, one a line."""
    console.print(title, style="bold", highlight=False, markup=False)
    for name, value in facts.items():
        console.print(f"  {name}: {value}", highlight=False, markup=False, soft_wrap=True)


def print_notes(title: str, notes: Mapping[str, str]) -> None:
    """Print a sentence for each name under a title, the sentences as a column of their own."""
    console.print(title, style="bold", highlight=False, markup=False)
    grid = Table.grid(padding=(0, 0, 0, 2))
    for name, text in notes.items():
        grid.add_row(Text(name), Text(text, overflow="fold"))
    console.print(grid)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something is being done, on a terminal only."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as progress:
        progress.add_task(text)
        yield


@contextmanager
def counting(text: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows (done, in all) as a bar, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
