"""The command `synthesize`: a file becomes a synthetic table under differential privacy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shuzha.server.commands.output import console, print_json, working


def synthesize(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")],
    *,
    plan: Annotated[Path, typer.Option(exists=True, help="The plan, a TOML file with a part `synthetic`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new folder for the release.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
) -> None:
    """Replace a table by synthetic rows under differential privacy; every run spends the plan's epsilon anew."""
    from desensitize.synthetic import SyntheticPlan, release_synthetic

    wanted = SyntheticPlan.from_toml(plan)
    with working("synthesizing"):
        release = release_synthetic(file, wanted)
        release.write(output)
    if as_json:
        print_json(release.certificate)
    else:
        console.print(release.synthesis.describe(), highlight=False)
        console.print(f"written to {output}", highlight=False)
