"""`stillgate policy test`: a pack's own tests, what they leave out, and which numbers they do not pin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, TimeElapsedColumn

from proxy.cli.options import AsJson, Config, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.progress import watched
from proxy.config import load_settings
from proxy.errors import ConfigurationError
from proxy.policy_testing.examining import examine
from proxy.policy_testing.production import production_runner
from proxy.policy_testing.report import Report, as_document, as_junit, as_text
from proxy.rules.pack_file.loading import load_pack

_EXIT_FAILED = 1


def run_tests(
    packs: Annotated[list[Path] | None, typer.Argument(metavar="PACK", help="The settings' pack by default.")] = None,
    *,
    pack: Annotated[list[Path] | None, typer.Option("--pack", metavar="FILE", help="The same, as an option.")] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="List rules, quotas and rungs that no case brings about.")
    ] = False,
    mutate: Annotated[
        bool,
        typer.Option("--mutate", help="Change every number a little, and list those for which no case fails then."),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML to this file.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Run the tests in tests/ beside a pack and in policies/tests that name it, on a clock of their own.

    Exit: 0 all pass, and --coverage and --mutate find nothing open; 1 otherwise; 2 a file cannot be used.
    """
    with told_unusable():
        files = [*(packs or ()), *(pack or ())] or [load_settings(config, {}).pack]
        reports = [_examine(file, coverage=coverage, mutate=mutate) for file in files]
        if junit is not None:
            _write(junit, reports)
    if as_json:
        print_json([as_document(report) for report in reports], 2)
    else:
        for report in reports:
            for line in as_text(report):
                typer.echo(line)
            if report.failed and (coverage or mutate):
                typer.echo(f"{report.file}: --coverage and --mutate look for gaps once every case passes")
    raise typer.Exit(0 if all(report.passed for report in reports) else _EXIT_FAILED)


def _examine(file: Path, *, coverage: bool, mutate: bool) -> Report:
    pack = load_pack(file)
    with watched(MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        running = progress.add_task("cases", total=None)
        nudging = progress.add_task("numbers", total=None, visible=False)

        def on_case(done: int, of: int) -> None:
            progress.update(running, completed=done, total=of)

        def on_mutant(done: int, of: int, number: str) -> None:
            progress.update(nudging, completed=done, total=of, description=number, visible=True)

        return examine(
            file,
            pack,
            production_runner(file),
            coverage=coverage,
            mutate=mutate,
            on_case=on_case,
            on_mutant=on_mutant,
        )


def _write(junit: Path, reports: Sequence[Report]) -> None:
    try:
        junit.write_bytes(as_junit(reports))
    except OSError as error:
        raise ConfigurationError(f"{junit}: cannot be written: {error.strerror}") from None
