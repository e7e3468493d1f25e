"""`stillgate policy activate` and `rollback`: change the pack of a running proxy, and say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import Config, Data, told_plainly
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.packs.activation import NEW
from proxy.packs.patterns import patterns_digest
from proxy.policy_testing.examining import examine
from proxy.policy_testing.production import production_runner
from proxy.policy_testing.report import as_text
from proxy.rules.pack_file.loading import check_pack

Why = Annotated[str, typer.Option("--why", help="Why, for those who read the revisions later.")]


def activate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The pack to bring into force.")],
    why: Why,
    *,
    skip_tests: Annotated[bool, typer.Option("--skip-tests", help="Do not run the tests that name the pack.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Check and test a pack, put it whole in place of the settings' pack file, and return once it is in force.

    The pack before it is kept as a revision. Refused if that file is on a read-only mount or is a link, as with a
    ConfigMap (change it where it comes from), or if the pattern sets beside FILE, with which it was tested, are not
    those that the proxy started with. Exit: 0 in force, 1 refused and nothing changed, 2 usage.
    """
    with told_plainly():
        content = read(file)
        pack, problems = check_pack(content, str(file))
        for problem in problems:
            typer.echo(problem.render(), err=True)
        if pack is None:
            raise ConfigurationError(f"{file}: is broken and was not activated")
        if not skip_tests and (report := examine(file, pack, production_runner(file))).failed:
            raise ConfigurationError("\n".join([f"{file}: its tests fail and it was not activated", *as_text(report)]))
        asked = {"content": content.decode(), "reason": why}
        if not skip_tests and (patterns := patterns_digest(file)):
            asked["patterns"] = patterns
        told = [replace(problem, file=NEW).render() for problem in problems]
        _tell(AdminClient.of(config, data).ask("POST", "/policy/activate", asked), told)


def rollback(
    digest: Annotated[
        str | None, typer.Argument(metavar="DIGEST", help="The pack's digest, or how that begins.")
    ] = None,
    *,
    why: Why,
    config: Config = None,
    data: Data = None,
) -> None:
    """Go back to an earlier pack: the one before the present one, or the one named. `policy status` lists them.

    A second rollback returns to the pack that was left. Exit: 0 in force, 1 refused and nothing changed, 2 usage.
    """
    if digest == "":  # as a script's variable that was never set
        raise typer.BadParameter("is empty: leave it out to go back to the previous pack", param_hint="DIGEST")
    with told_plainly():
        asked = {"reason": why} if digest is None else {"digest": digest, "reason": why}
        _tell(AdminClient.of(config, data).ask("POST", "/policy/rollback", asked))


def _tell(status: dict[str, Any], told: Sequence[str] = ()) -> None:
    for warning in status.get("warnings", ()):  # of what does not fit the proxy's settings, which only it knows
        if warning not in told:
            typer.echo(warning, err=True)
    pack = status["pack"]
    typer.echo(f"in force: {pack['name']} {pack['version']}, sha256 {pack['digest']}")
    behind = sorted(pid for pid, digest in status["workers"].items() if digest != pack["digest"])
    if behind:
        typer.echo(f"still on the previous pack: worker {', '.join(behind)}; its log messages say why", err=True)
