"""`stillgate trace`: whether texts were made of answers that were marked for a campaign, and for which.

Laws: the texts stay here: only the wordings at places, each with the word before it, and habits of style go to the
proxy; its keys stay there. Without a proxy, whoever may read the master secret names the campaigns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, TimeElapsedColumn

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import AsJson, Config, Data, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.progress import watched
from proxy.cli.trace_summary import print_trace, trace_document
from proxy.config import load_settings
from proxy.errors import ConfigurationError
from proxy.marks.keys import keys_of
from proxy.marks.marking import MOST_CHARS
from proxy.marks.place import Place
from proxy.marks.reading import Seen, agreement
from proxy.marks.suspects import Suspect, gathered, judged, suspected
from proxy.secrets import load_master

_EXIT_NOTHING = 1
_MAX_BYTES = 256 << 20  # of a file
_BATCH_PLACES = 5_000  # in one question to the proxy: half a megabyte
_BATCH_LISTS = 50  # each is answered for every id under every secret: with so many, for 40,000 of those
_PATIENT_S = 300.0  # 5,000 places of 10,000 campaigns take a minute

Figures = dict[str, list[Seen]]


def trace(
    texts: Annotated[
        list[Path],
        typer.Option(
            "--texts", metavar="FILE", help="Suspected texts: .jsonl with a member `text`, else one text a file."
        ),
    ],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="ID", help="A campaign, template or account to test too; repeatable."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no proxy: test the ids of --key only, with the master secret.")
    ] = False,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="Similar texts of a model that was not trained on your answers; with them style tells more.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option("--rate", min=1e-12, max=0.5, help="The highest chance of any finding if no text is marked."),
    ] = 0.01,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Test suspected texts for the marks of every known campaign, in each text and in all together.

    Each line of a .jsonl file is one answer, whose words are read only as far as answers are marked; any other file is
    one text, and is read to its end. Marks in words are looked for in each text and in all together, marks of style
    in all together.

    Exit: 0 a mark was found, 1 none was found, 2 wrong usage, or a file, the proxy or the secret cannot be used.
    """
    with told_unusable():
        if offline and not key:
            raise ConfigurationError("--offline: which campaigns? Name them with --key")
        found = _read(texts)
        suspects = list(found.values())
        lists = gathered(suspects, list(_read(reference).values()) if reference else ())
        figures = _offline(lists, key or [], config, data) if offline else _asked(lists, key or [], config, data)
    result = judged(figures, suspects, rate)
    names = list(found)
    if as_json:
        print_json(trace_document(result, names))
    else:
        print_trace(result, names)
    raise typer.Exit(0 if result.found else _EXIT_NOTHING)


def _read(files: Iterable[Path]) -> dict[str, Suspect]:
    """Return what was read of each text by the text's name. Raises ConfigurationError."""
    found = list(chain.from_iterable(map(_texts, files)))
    if not found:
        raise ConfigurationError("there is no text in these files")
    with watched(MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        return {name: suspected(text, most) for name, text, most in progress.track(found, description="texts")}


def _texts(file: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the name and the text of each answer of a file, and how much of it is read."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{file}: is larger than {_MAX_BYTES >> 20} MiB")
        content = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8 text") from None
    if file.suffix not in (".jsonl", ".ndjson"):
        yield str(file), content, len(content)
        return
    for number, line in enumerate(content.split("\n"), 1):  # a text may have other ends of lines in it
        if line.strip():
            yield f"{file}:{number}", _text_of(line, f"{file}:{number}"), MOST_CHARS


def _text_of(line: str, place: str) -> str:
    # Not read strictly: who collects texts has cut some within an emoji, and writes NaN beside them.
    try:
        text = json.loads(line)["text"]
    except (ValueError, RecursionError, TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        raise ConfigurationError(f'{place}: should be an object such as {{"text": "..."}}')
    return text


def _offline(lists: list[list[Place]], keys: list[str], config: Path | None, data: Path | None) -> Figures:
    secret = load_settings(config, {"data": data}).master_secret
    if not secret.exists():
        raise ConfigurationError(f"{secret}: there is no master secret")
    found = keys_of(load_master(secret).marks(), keys)
    return {name: [agreement(places, key) for places in lists] for name, key in found.items()}


def _asked(lists: list[list[Place]], keys: list[str], config: Path | None, data: Path | None) -> Figures:
    client = AdminClient.of(config, data)
    figures: Figures = {}
    for batch in _batches(lists):
        asked = {"keys": keys, "places": [list(map(list, places)) for _, places in batch]}
        answer = client.ask("POST", "/trace", asked, seconds=_PATIENT_S)["agreed"]
        if figures and answer.keys() != figures.keys():
            raise ConfigurationError("another campaign was found meanwhile; try again")
        for name, rows in answer.items():
            seen = figures.setdefault(name, [Seen(0, 0)] * len(lists))
            for (at, _), row in zip(batch, rows, strict=True):
                seen[at] += Seen(*row)
    if not figures:
        raise ConfigurationError("no campaign is known, and --key names none")
    return figures


def _batches(lists: list[list[Place]]) -> Iterator[list[tuple[int, list[Place]]]]:
    """Yield the lists and their numbers, a long one in parts, so many places and lists at a time."""
    batch: list[tuple[int, list[Place]]] = []
    room = _BATCH_PLACES
    for at, places in enumerate(lists):
        rest = places
        while True:
            batch.append((at, rest[:room]))
            rest, room = rest[room:], room - len(rest[:room])
            if room and len(batch) < _BATCH_LISTS:
                break
            yield batch
            batch, room = [], _BATCH_PLACES
            if not rest:
                break
    if batch:
        yield batch
