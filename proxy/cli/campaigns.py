"""`stillgate campaigns`: what a reviewer reads and decides about campaigns, through a running proxy's admin side."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import typer
from rich.table import Table

from proxy.campaign_page.facts import percent, read_facts
from proxy.campaign_page.page import page
from proxy.cli.admin_client import AdminClient
from proxy.cli.moments import day, now
from proxy.cli.options import AsJson, Config, Data, Why, one_of, told_plainly
from proxy.cli.printing import cell, print_json, print_table
from proxy.cli.private_file import write_private
from proxy.errors import ConfigurationError

campaigns = typer.Typer(help="List, show, dismiss, confirm and export campaigns.", no_args_is_help=True)

CampaignId = Annotated[str, typer.Argument(metavar="ID", help="The campaign's id, as `campaigns list` shows it.")]

_ID_CHARS = 128
_TOP = 20
_PATIENT_S = 600.0  # the flags of 25,000 accounts are lifted in some ten seconds, on a busy machine in a minute
_BAR = 40  # characters of the longest bar of the histogram


@campaigns.command("list")
def list_all(as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """List the campaigns, the latest found first."""
    with told_plainly():
        found = AdminClient.of(config, data).ask("GET", "/campaigns")["campaigns"]
        if as_json:
            print_json(found)
        else:
            _print_all(found)


@campaigns.command()
def show(
    campaign: CampaignId,
    everybody: Annotated[
        bool, typer.Option("--all", help=f"Show every member, not only the {_TOP} with most ties to the others.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write it to this file, as one page for people; its figures count all members."
        ),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show what a campaign is, why it is one, who belongs to it, and what it was given so far."""
    one_of(html=html is not None, json=as_json)
    with told_plainly():
        path = _path(campaign) + ("" if everybody or html else f"?members={_TOP}")
        found = AdminClient.of(config, data).ask("GET", path)
        if html is not None:
            write_private(html, page(read_facts(found), now()).encode())
            typer.echo(f"wrote {html}")
        elif as_json:
            print_json(found)
        else:
            _print_facts(found)
            _print_evidence(found["evidence"])
            _print_hours(found["hours"])
            _print_members(found["members"], found["accounts"])


@campaigns.command()
def dismiss(campaign: CampaignId, why: Why, config: Config = None, data: Data = None) -> None:
    """Decide that it is not a campaign: its flags go at once and everywhere, and it does not come back by itself."""
    with told_plainly():
        answer = AdminClient.of(config, data).ask(
            "POST", f"{_path(campaign)}/dismiss", {"reason": why}, seconds=_PATIENT_S
        )
        typer.echo(f"dismissed {campaign}, lifted {answer['lifted']} flags")


@campaigns.command()
def confirm(campaign: CampaignId, why: Why, config: Config = None, data: Data = None) -> None:
    """Decide that it is one. Rungs that ask for approval count its flags once enough people have confirmed it."""
    with told_plainly():
        answer = AdminClient.of(config, data).ask(
            "POST", f"{_path(campaign)}/confirm", {"reason": why}, seconds=_PATIENT_S
        )
        typer.echo(f"confirmed {campaign}, and {answer['confirmed']} flags")


@campaigns.command()
def export(
    campaign: CampaignId,
    to: Annotated[Path | None, typer.Option(help="The file to write; standard output without one.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Write every member with what ties it to the campaign, as JSON lines, for those who look after accounts."""
    with told_plainly():
        found = AdminClient.of(config, data).ask("GET", _path(campaign))
        facts = {
            "campaign": found["id"],
            "rule": found["rule"],
            "state": found["state"],
            "confidence": found["confidence"],
            "sought": found["sought"],
            "evidence": [entry["sentence"] for entry in found["evidence"]],
        }
        lines = b"".join(orjson.dumps({**member, **facts}) + b"\n" for member in found["members"])
        if to is None:
            sys.stdout.write(lines.decode())
            return
        write_private(to, lines)
        typer.echo(f"wrote {len(found['members'])} members to {to}")


def _path(campaign: str) -> str:
    """Return the path of a campaign. Raises ConfigurationError for what can be no id."""
    if not campaign or len(campaign) > _ID_CHARS or not campaign.isprintable() or " " in campaign:
        raise ConfigurationError(f"{campaign!r} is not the id of a campaign")
    return f"/campaigns/{quote(campaign, safe='')}"


def _print_all(found: Iterable[dict[str, Any]]) -> None:
    table = Table("id", "rule", "accounts", "tenants", "since", "exchanges", "confidence", "sought", "state")
    for row in found:
        sizes = (row["accounts"], row["tenants"], day(row["first_at"]), row["exposure"]["exchanges"])
        told = (row["id"], row["rule"], *sizes, percent(row["confidence"]), row["sought"], row["state"])
        table.add_row(*map(cell, told))
    print_table(table)


def _print_facts(found: dict[str, Any]) -> None:
    exposure = found["exposure"]
    table = Table(show_header=False)
    for name, value in (
        ("id", found["id"]),
        ("rule", found["rule"]),
        ("state", found["state"]),
        ("confidence", percent(found["confidence"])),
        ("sought", found["sought"]),
        ("members", f"{found['accounts']} accounts of {found['tenants']} tenants"),
        ("active", f"{day(found['first_at'])} to {day(found['last_at'])}"),
        ("found", f"{day(found['found_at'])}, last changed {day(found['updated_at'])}"),
        ("exchanges", f"{exposure['exchanges']}, of which {exposure['delivered']} were answered"),
        ("was given", _given(exposure)),
        *(
            ("template", f"{template['id']}: {template['prints']} prints, {template['least']} of which make a match")
            for template in found["templates"]
        ),
        *((entry["said"], f"by {entry['by']} on {day(entry['at'])}: {entry['why']}") for entry in found["decisions"]),
    ):
        table.add_row(name, cell(value))
    print_table(table)


def _given(exposure: dict[str, int]) -> str:
    tokens = f"{exposure['output_tokens']} output tokens, {exposure['reasoning_tokens']} of them reasoning"
    return f"answers to {exposure['prompts']} different prompts, {tokens}"


def _print_evidence(evidence: Iterable[dict[str, Any]]) -> None:
    typer.echo("\nEvidence, the strongest first:")
    table = Table("family", "weight", "what was seen")
    for entry in sorted(evidence, key=lambda entry: -entry["weight"]):
        table.add_row(cell(entry["family"]), f"{entry['weight']:+.1f}", cell(entry["sentence"]))
    print_table(table)


def _print_hours(hours: list[int]) -> None:
    typer.echo("\nAll exchanges of its members by hour of the day (UTC):")
    most = max(hours, default=0)
    for hour, count in enumerate(hours):
        bar = "#" * -(-count * _BAR // most) if most else ""
        typer.echo(f"{hour:02} {bar:<{_BAR}} {count}".rstrip())


def _print_members(members: list[dict[str, Any]], accounts: int) -> None:
    rest = f", {len(members)} of {accounts}" if len(members) < accounts else ""
    typer.echo(f"\nMembers, the surest first{rest}:")
    table = Table("account", "tenant", "since", "exchanges", "of all its", "output tokens", "ties")
    for member in members:
        since, ties = day(member["since"]), "; ".join(member["ties"])
        counts = (member["exchanges"], member["of"], member["output_tokens"])
        table.add_row(*map(cell, (member["account"], member["tenant"], since, *counts, ties)))
    print_table(table)
