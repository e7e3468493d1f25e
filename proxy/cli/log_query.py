"""`stillgate log query`: what a decision log says, by usual views or in SQL."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.answers import as_rows, print_answer, print_csv
from proxy.cli.ending import cleared_on_sigterm
from proxy.cli.log_opening import MEMORY, Memory, Paths, Temp, Threads, leave, opened_log
from proxy.cli.log_pseudonym import forgotten, names_of
from proxy.cli.moments import past, period
from proxy.cli.options import AsJson, Config, Data, one_of, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.reading_logs import unread
from proxy.decision import Effect
from proxy.review.choosing import Choice, Question, is_pseudonym
from proxy.review.schema import COLUMNS
from proxy.review.views import BY, VIEWS

if TYPE_CHECKING:
    from proxy.review.log import Log

_VIEWS_HELP = "; ".join(f"{name}: {view.says}" for name, view in VIEWS.items()) + "."
_BY_HELP = f"Group the view by this too: {', '.join(BY)}."


@cleared_on_sigterm()
def query(  # noqa: PLR0913 - every option is an argument
    paths: Paths,
    *,
    view: Annotated[str, typer.Option("--view", metavar="VIEW", help=_VIEWS_HELP)] = "counts",
    by: Annotated[str | None, typer.Option("--by", metavar="WHAT", help=_BY_HELP)] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="ID", help="Only this account: its pseudonym, or with --why its plain id."),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="t_...", help="Only this tenant, by its pseudonym.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="k_...", help="Only this key, by its pseudonym.")] = None,
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="ID", help="Only members of this campaign.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="ID", help="Only exchanges in which it fired, also in shadow.")
    ] = None,
    effect: Annotated[Effect | None, typer.Option("--effect", help="Only exchanges with this effect.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="A date, a time, or a period up to now, such as 24h.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="As --since; that moment itself is not included.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="The interval of over-time; chosen to fit by default.")
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
    why: Annotated[
        str | None, typer.Option("--why", help="Why you look for the account by its plain id, for the log of changes.")
    ] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Query decision logs by account, campaign, rule and time: why, how often, by which quota, and whether rightly.

    An account's plain id needs --why and a running proxy, which knows its pseudonyms. Exit: 0 done, 1 done but some
    lines could not be read, 2 wrong usage, a file cannot be used, or the proxy cannot be asked.
    """
    one_of(json=as_json, csv=as_csv)
    if sql is not None and any(
        option is not None for option in (account, tenant, key, campaign, rule, effect, by, since, until)
    ):
        raise typer.BadParameter(
            "the query chooses and groups by itself: leave out --account, --by and the like", param_hint="--sql"
        )
    if why is not None and (account is None or is_pseudonym(account)):
        raise typer.BadParameter("it is only for --account with a plain id", param_hint="--why")
    with told_unusable():
        accounts, said = _accounts(account, why, config, data)
        first, last = past(since) if since else None, past(until) if until else None
        choice = Choice(accounts, tenant, key, campaign, rule, effect, first, last)
        question = Question(view, choice, by, period(every) if every else None, top)
        question.check()
        with ExitStack() as stack:
            wanted = COLUMNS if sql is not None else question.columns
            parts = question.parts if sql is None else None
            log = stack.enter_context(
                opened_log(paths, wanted, memory, threads, temp, parts=parts, apart=sql is not None)
            )
            answer = question.ask(log) if sql is None else log.ask_freely(sql)
            not_read = unread(log)
            for line in said:
                typer.echo(line, err=True)
            if as_json:
                print_json({**_read_of(log), "rows": as_rows(*answer)})
            elif as_csv:
                print_csv(*answer)
            else:
                print_answer(*answer)
    leave(not_read)


def _read_of(log: Log) -> dict[str, Any]:
    return {"lines": log.lines, "malformed": log.malformed, "broken": [str(file) for file in log.broken]}


def _accounts(
    account: str | None, why: str | None, config: Path | None, data: Path | None
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return what the log calls an account, and what is to be said of months whose key is gone.

    Raises AdminError where a plain id is asked for and no proxy answers.
    """
    if account is None:
        return None, []
    if why is None:
        return (account,), []
    names = names_of(account, why, config, data)
    return tuple(name for name in names.values() if name), list(forgotten(names))
