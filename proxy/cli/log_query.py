"""`stillgate log query`: what a decision log says, by usual views or in SQL."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from proxy.cli.answers import as_rows, print_answer, print_csv, print_document
from proxy.cli.ending import cleared_on_sigterm
from proxy.cli.log_opening import MEMORY, Memory, Paths, Temp, Threads, give_up, leave, opened_log, unread
from proxy.cli.moments import past, period
from proxy.cli.options import AsJson
from proxy.decision import Effect
from proxy.errors import ConfigurationError
from proxy.review.choosing import Choice, Question
from proxy.review.schema import COLUMNS
from proxy.review.views import BY, VIEWS

_VIEWS_HELP = "; ".join(f"{name}: {view.says}" for name, view in VIEWS.items()) + "."
_BY_HELP = f"Group the view by this too: {', '.join(BY)}."


@cleared_on_sigterm()
def query(  # noqa: PLR0913 - every option is an argument
    paths: Paths,
    *,
    view: Annotated[str, typer.Option("--view", metavar="VIEW", help=_VIEWS_HELP)] = "counts",
    by: Annotated[str | None, typer.Option("--by", metavar="WHAT", help=_BY_HELP)] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="a_...", help="As the log has it.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="t_...", help="As the log has it.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="k_...", help="As the log has it.")] = None,
    campaign: Annotated[str | None, typer.Option("--campaign", metavar="ID", help="Of its members only.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="ID", help="In which it fired, also in shadow.")] = None,
    effect: Annotated[Effect | None, typer.Option("--effect", help="Which had this effect.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="A date, a time, or a period up to now, such as 24h.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="The same; itself not included.")] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="The interval of over-time; by default what suits it.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=1_000_000, help="Rows at most; over-time shows all.")] = 20,
    sql: Annotated[
        str | None, typer.Option("--sql", metavar="SELECT", help="A query of your own over the view `log`, instead.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    memory: Memory = MEMORY,
    threads: Threads = 0,
    temp: Temp = None,
) -> None:
    """Ask decision logs: by account, campaign, rule and time; why, how often, by which quota, and whether rightly.

    Exit: 0 done, 1 done but some lines could not be read, 2 wrong usage, or a file cannot be used.
    """
    if as_json and as_csv:
        raise typer.BadParameter("name one of them", param_hint="--json, --csv")
    if sql is not None and any(
        option is not None for option in (account, tenant, key, campaign, rule, effect, by, since, until)
    ):
        raise typer.BadParameter("it chooses and groups by itself", param_hint="--sql")
    try:
        choice = Choice(
            account, tenant, key, campaign, rule, effect, past(since) if since else None, past(until) if until else None
        )
        question = Question(view, choice, by, period(every) if every else None, top)
        question.check()
        with ExitStack() as stack:
            wanted = COLUMNS if sql is not None else question.columns
            log = stack.enter_context(opened_log(paths, wanted, memory, threads, temp, apart=sql is not None))
            answer = question.ask(log) if sql is None else log.ask_freely(sql)
            not_read = unread(log)
            if as_json:
                facts = {"lines": log.rows, "malformed": log.malformed, "broken": [str(file) for file in log.broken]}
                print_document({**facts, "rows": as_rows(*answer)})
            elif as_csv:
                print_csv(*answer)
            else:
                print_answer(*answer)
    except ConfigurationError as error:
        give_up(error)
    leave(not_read)
