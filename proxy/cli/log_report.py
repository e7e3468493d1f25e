"""`stillgate log report`: the usual views of a decision log together, on the terminal or as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.answers import as_rows, print_answer
from proxy.cli.ending import cleared_on_sigterm
from proxy.cli.log_opening import MEMORY, Memory, Paths, Temp, Threads, leave, opened_log
from proxy.cli.moments import now, past
from proxy.cli.options import AsJson, one_of, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.private_file import write_private
from proxy.cli.reading_logs import unread
from proxy.review.choosing import Choice
from proxy.review.page import page
from proxy.review.report import parts, questions


@cleared_on_sigterm()
def report(  # noqa: PLR0913 - every option is an argument
    paths: Paths,
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it to this file, as one page.")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="ID", help="Only members of this campaign.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="A date, a time, or a period up to now, such as 7d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="As --since; that moment itself is not included.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=1_000, help="Rows of a table at most.")] = 20,
    as_json: AsJson = False,
    memory: Memory = MEMORY,
    threads: Threads = 0,
    temp: Temp = None,
) -> None:
    """Show effects over time, reasons, rules with what shadow would have done, quotas, campaigns, false positives.

    Exit: 0 done, 1 done but some lines could not be read, 2 wrong usage, or a file cannot be used.
    """
    one_of(html=html is not None, json=as_json)
    with told_unusable():
        choice = Choice(campaign=campaign, since=past(since) if since else None, until=past(until) if until else None)
        wanted = {column for _, question in questions(choice, top) for column in question.columns}
        with opened_log(paths, wanted, memory, threads, temp) as log:
            made, not_read = list(parts(log, choice, top)), unread(log)
        if html is not None:
            write_private(html, page(made, not_read, now()).encode())
    if html is not None:
        typer.echo(f"wrote {html}")
    elif as_json:
        print_json({part.view: as_rows(part.names, part.rows) for part in made})
    else:
        for part in made:
            typer.echo(f"\n{part.title}:")
            print_answer(part.names, part.rows)
    leave(not_read)
