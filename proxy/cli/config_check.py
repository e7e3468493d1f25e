"""`stillgate config check`: everything that would keep a proxy from starting, but for the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated

import typer

from proxy.auth.jwk_set import Unusable, read_jwks, read_secret
from proxy.cli.options import Config
from proxy.cli.policy_patterns import pattern_problems
from proxy.cli.problems import Format, rendered
from proxy.clock import SystemClock
from proxy.config import Settings, load_settings
from proxy.decisions.signing import load_signer
from proxy.dialects import dialects
from proxy.documents.problem import Problem, Severity, Unreadable, YamlProblems, has_errors
from proxy.documents.strict_yaml import read
from proxy.errors import ConfigurationError
from proxy.handing import handed
from proxy.packs.offered import offered_by
from proxy.rules.pack_file.loading import check_pack
from proxy.secrets import load_or_create_master, read_header_file, read_secret_file
from proxy.settings.store_address import Access, read_place
from proxy.settings.trace import NO_OTEL
from proxy.settings.types import is_file

_EXIT_PROBLEMS = 1
_EXIT_UNREADABLE = 2


def check(
    config: Config = None,
    *,
    output: Annotated[Format, typer.Option("--format", help="github prints annotations for a workflow.")] = Format.TEXT,
) -> None:
    """Show everything that is wrong with the settings, the secrets that they name, and their pack.

    Nothing is started, written or connected to. Exit: 0 nothing but warnings, 1 problems, 2 a file cannot be read.
    """
    exit_code, settings = 0, None
    try:
        settings = load_settings(config, {})
        checks = (
            _of_folders,
            _of_secrets,
            _of_own_keys,
            _of_checkpoints,
            _of_store,
            _of_upstreams,
            _of_issuers,
            _of_trace,
            _of_dialects,
            _of_pack,
        )
        problems = [problem for check_of in checks for problem in check_of(settings)]
    except YamlProblems as wrong:
        problems = list(wrong.problems)
        exit_code = _EXIT_UNREADABLE if isinstance(wrong, Unreadable) else _EXIT_PROBLEMS
    if has_errors(problems):
        exit_code = max(exit_code, _EXIT_PROBLEMS)
    if settings is not None and output is Format.TEXT:
        typer.echo(_summary(settings))
    if shown := rendered(problems, output):
        typer.echo(shown)
    raise typer.Exit(exit_code)


def _of_folders(settings: Settings) -> Iterator[Problem]:
    """Yield what stands where a start would make a folder, or in the way to it."""
    sampled = [] if settings.decision_log.samples.public_key is None else [settings.samples_folder]
    for folder in dict.fromkeys((settings.data, settings.decisions_folder, *sampled)):
        found = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
        if os.path.lexists(found) and not found.is_dir():
            yield Problem(str(folder), 0, 0, f"must be a folder, and {found} is not")


def _of_secrets(settings: Settings) -> Iterator[Problem]:
    files = [upstream.credential_file for upstream in settings.upstreams.values()]
    passwords = (settings.store_password_file, settings.sentinel_password_file)
    secrets = dict.fromkeys((file, read_secret_file) for file in (*files, *passwords))
    for file, read_it in (*secrets, (settings.trace.otlp_header_file, read_header_file)):
        if file is None:
            continue
        try:
            read_it(file)
        except ConfigurationError as error:
            yield Problem(str(file), 0, 0, str(error).removeprefix(f"{file}: "))


def _of_own_keys(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with the keys that a start would make if they were not there."""
    for file, load in ((settings.master_secret, load_or_create_master), (settings.log_key, load_signer)):
        if is_file(file):
            try:
                load(file)
            except ConfigurationError as error:
                yield Problem(str(file), 0, 0, str(error).removeprefix(f"{file}: "))


def _of_checkpoints(settings: Settings) -> Iterator[Problem]:
    """Yield what would keep every checkpoint out of their file: a start goes on without it."""
    file = settings.decision_log.checkpoints_file
    if file is None:
        return
    # Without pathlib, which raises where it may not look.
    message = ""
    if os.path.isdir(file):  # noqa: PTH112
        message = "is a folder"
    elif not os.path.isdir(file.parent):  # noqa: PTH112
        message = f"there is no folder {file.parent}, or it cannot be seen"
    if message:
        yield Problem(str(file), 0, 0, f"no checkpoint could be kept here: {message}", severity=Severity.WARNING)


def _of_trace(settings: Settings) -> Iterator[Problem]:
    if settings.trace.otlp_url is not None and find_spec("opentelemetry") is None:
        yield Problem("settings", 0, 0, NO_OTEL)


def _of_dialects(settings: Settings) -> Iterator[Problem]:
    try:
        dialects(frozenset(settings.allow_parameters))
    except ConfigurationError as error:
        yield Problem("settings", 0, 0, str(error))


def _of_store(settings: Settings) -> Iterator[Problem]:
    if settings.store.shared and (place := read_place(settings.store.url)).tls:
        from proxy.store.wires import Wires  # noqa: PLC0415 - the driver takes longer to load than all else here

        tls = settings.store_tls
        try:
            Wires(place, Access(ca_file=tls.ca_file, certificate_file=tls.certificate_file, key_file=tls.key_file))
        except ConfigurationError as error:
            file, _, message = str(error).partition(": ")
            yield Problem(file, 0, 0, message)


def _of_upstreams(settings: Settings) -> Iterator[Problem]:
    """Yield what SDKs have at the end of their base URL, where a call's path begins with it: nothing is there twice."""
    for name, upstream in settings.upstreams.items():
        if upstream.url.endswith("/v1"):
            message = f"upstreams.{name}.url: ends in /v1, and calls are sent to {upstream.url}/v1/...: leave it out"
            yield Problem("settings", 0, 0, message, severity=Severity.WARNING)


def _of_issuers(settings: Settings) -> Iterator[Problem]:
    for issuer in settings.issuers.values():
        for file, keys_of in ((issuer.jwks_file, read_jwks), (issuer.secret_file, read_secret)):
            if file is not None:
                try:
                    keys_of(file.read_bytes(), issuer.algorithms)
                except (Unusable, OSError) as error:
                    yield Problem(str(file), 0, 0, str(error))


def _of_pack(settings: Settings) -> Iterator[Problem]:
    file, data = settings.pack, read(settings.pack)
    try:
        pack, problems = check_pack(data, str(file), SystemClock().wall(), offered_by(settings))
    except ConfigurationError as error:
        yield Problem("settings", 0, 0, str(error))
        return
    yield from problems
    if pack is not None:
        yield from pattern_problems(file, pack)
        try:
            handed(pack)
        except ConfigurationError as error:
            yield Problem(str(file), 0, 0, str(error))


def _summary(settings: Settings) -> str:
    upstreams = ", ".join(f"{name} at {upstream.url}" for name, upstream in settings.upstreams.items())
    models = ", ".join(
        name if model.input_picodollars or model.output_picodollars else f"{name} (no price)"
        for name, model in settings.models.items()
    )
    store = f"{settings.store}".partition("://")[0]
    return (
        f"upstreams: {upstreams or 'the stand-in model'}; models: {models or 'those of the stand-in'}; store: {store}; "
        f"pack: {settings.pack}"
    )
