"""`stillgate policy explain`: what a pack says to a request, or said to a recorded exchange, condition by condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from proxy.cli.explain_recorded import explain_recorded
from proxy.cli.explanation import decision_lines, flag_lines, judgement_document, pack_document, rule_lines
from proxy.cli.options import AsJson, Config, Data, told_unusable
from proxy.cli.printing import print_json
from proxy.clock import SystemClock
from proxy.config import load_settings
from proxy.dialects import strict_json
from proxy.documents.problem import YamlProblems, one_of
from proxy.documents.strict_model import validate
from proxy.documents.strict_yaml import parse, read
from proxy.errors import ConfigurationError, ProxyError
from proxy.policy_testing.production import production_minds
from proxy.policy_testing.schema import DAYS_MAX, AccountFixture
from proxy.policy_testing.single import Answer, Question, ask, read_given
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.loading import load_pack
from proxy.settings.types import DIALECTS, dialect_names


def explain(  # noqa: PLR0913 - every option is an argument
    exchange_id: Annotated[
        str | None, typer.Argument(metavar="EXCHANGE_ID", help="A recorded exchange; or --request in its place.")
    ] = None,
    *,
    request: Annotated[
        Path | None, typer.Option("--request", metavar="FILE", help="The request's body, as JSON.")
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option("--log", metavar="PATH", help="A decision log, or a folder of them; the settings' by default."),
    ] = None,
    pack: Annotated[Path | None, typer.Option("--pack", metavar="FILE", help="The settings' pack by default.")] = None,
    caller: Annotated[
        Path | None, typer.Option("--as", metavar="FILE", help="The caller: a map with the keys of an account fixture.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="The caller's account.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The caller's tenant.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", help="The caller's plan.")] = None,
    age_days: Annotated[
        float | None, typer.Option("--age-days", min=0, max=DAYS_MAX, help="The age of the account.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What rules see as the value of a field or signal."),
    ] = None,
    flags: Annotated[list[str] | None, typer.Option("--flag", metavar="NAME", help="A flag on the account.")] = None,
    dialect: Annotated[str | None, typer.Option("--dialect", help=f"{one_of(DIALECTS)}; the first by default.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show each rule and condition, met or not, with the values, and which single comparisons keep rules from firing.

    For a request, counters count only this one and no flag is live, unless --set and --flag say otherwise. Exit: 0
    shown, 2 a file, a name or a value cannot be used.

    A recorded exchange is judged by the pack, fields and counts of that moment. Exit: 0 it comes out as it did, 1 it
    does not, or cannot be found or reproduced, 2 a file cannot be used.
    """
    said: dict[str, object] = {"account": account, "tenant": tenant, "plan": plan, "age_days": age_days}
    others: dict[str, object] = {"pack": pack, "as": caller, "set": given, "flag": flags, "dialect": dialect}
    if exchange_id is not None:
        _refuse({"request": request, **others, **said}, "says nothing about a recorded exchange")
        explain_recorded(exchange_id, log or [], config, data, as_json=as_json)
        return
    if request is None:
        raise typer.BadParameter("name a recorded exchange, or a request with --request FILE")
    _refuse({"log": log, "data": data}, "says nothing about a request")
    dialect = dialect or DIALECTS[0]
    if dialect not in (known := dialect_names()):
        raise typer.BadParameter(f"should be {one_of(known)}", param_hint="--dialect")
    with told_unusable():
        file = pack or load_settings(config, {}).pack
        loaded = load_pack(file)
        minds = production_minds(file)
        question = Question(
            account=_account(caller).model_copy(
                update={key: value for key, value in said.items() if value is not None}
            ),
            body=_body(request),
            dialect=dialect,
            now=SystemClock.wall(),
            given=read_given(given or (), loaded, minds.table),
            flags=tuple(flags or ()),
        )
        answer = ask(loaded, minds, question)
    if as_json:
        print_json(_as_document(loaded, answer), 2)
        return
    for line in _as_text(file, loaded, answer):
        typer.echo(line)


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(why, param_hint=f"--{name.replace('_', '-')}")


def _account(file: Path | None) -> AccountFixture:
    if file is None:
        return AccountFixture()
    document = parse(read(file), str(file))
    account, problems = validate(document, AccountFixture)
    if account is not None and account.cluster:
        problems.append(document.problem(("cluster",), "names a campaign of a test, and there is none here"))
    if account is None or problems:
        raise YamlProblems(problems)
    return account


def _body(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
        orjson.loads(content)
        return strict_json.read(content)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{file}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from None
    except ProxyError as flaw:
        raise ConfigurationError(f"{file}: the request would be refused as it is: {flaw.message}") from None


def _as_text(file: Path, pack: Pack, answer: Answer) -> Iterator[str]:
    yield f"{file}: {pack.name} {pack.version}"
    observed = answer.observed
    yield from decision_lines(observed.effect, observed.by, observed.actions, answer.explanation)
    yield from flag_lines(observed.judgement)
    yield from rule_lines(answer.explanation)


def _as_document(pack: Pack, answer: Answer) -> dict[str, Any]:
    observed, explanation = answer
    return {
        "pack": pack_document(pack),
        "effect": observed.effect,
        "by": observed.by,
        "actions": observed.actions,
        **judgement_document(explanation),
        "fields": dict(observed.fields),
    }
