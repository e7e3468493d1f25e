"""`stillgate replay`: recorded or generated traffic through engine and hunter on a virtual clock."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.progress import DownloadColumn, TimeElapsedColumn, TimeRemainingColumn

from proxy.cli.options import AsJson, Config, Data, told_unusable
from proxy.cli.printing import print_json
from proxy.cli.progress import watched
from proxy.cli.replay_summary import print_summary, summary_document
from proxy.config import load_settings
from proxy.errors import ConfigurationError
from proxy.hunting.core import hunt, terms_of
from proxy.machine.collecting import collecting_briefly
from proxy.policy_testing.schema import seconds
from proxy.replay.hunting import Hunter
from proxy.replay.lines import STDIN, Files
from proxy.replay.pool import batches
from proxy.replay.replaying import Replay
from proxy.replay.setting_up import Scene, stage_of, wants_of
from proxy.replay.summary import Summary
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import load_pack

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_EXIT_UNREAD = 1
_JOBS_MAX = 64


def replay(  # noqa: PLR0913 - every option is an argument
    traffic: Annotated[
        list[Path],
        typer.Argument(metavar="TRAFFIC...", help="Files of exchanges or decision logs, plain or .gz; - is stdin."),
    ],
    *,
    pack: Annotated[Path | None, typer.Option("--pack", metavar="FILE", help="The settings' pack by default.")] = None,
    decisions: Annotated[
        Path | None, typer.Option("--decisions", metavar="FILE", help="Where each line's decision goes.")
    ] = None,
    findings: Annotated[
        Path | None, typer.Option("--findings", metavar="FILE", help="Where reported and grown campaigns go.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, max=_JOBS_MAX, help="Processes that read; 0: one for each core.")
    ] = 0,
    judge_every: Annotated[
        str,
        typer.Option(
            "--judge-every",
            metavar="TIME",
            help="The least virtual time between two looks of the hunter, which also waits until 0.5% of what it "
            "holds, or half an hour, is new.",
        ),
    ] = "3m",
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Send recorded traffic through a pack's engine and the hunter, on a virtual clock, and say what came of it.

    Flags that findings raise act on what follows. Each line is one exchange (ts, principal, peer, headers, method,
    path, body, response) or a record of a decision log, which has neither text nor what links accounts: the
    engine alone judges it, and no campaign is looked for, also where it has prints.

    Exit: 0 done, 1 some lines could not be read, 2 wrong usage, or a file cannot be used.
    """
    try:
        every = seconds(judge_every)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--judge-every") from None
    if every <= 0:
        raise typer.BadParameter("should be more than no time", param_hint="--judge-every")
    _keep_traffic(traffic, [decisions, findings])
    with told_unusable():
        settings = load_settings(config, {"data": data})
        pack_file = pack or settings.pack
        scene = Scene(pack_file, load_pack(pack_file), settings, _hunter, every)
        summary = run(scene, traffic, (decisions, findings), jobs or _cores())
    if as_json:
        print_json(summary_document(summary))
    else:
        print_summary(summary)
    raise typer.Exit(0 if summary.whole else _EXIT_UNREAD)


def run(scene: Scene, traffic: Sequence[Path], outputs: tuple[Path | None, Path | None], jobs: int) -> Summary:
    """Replay files and return what came of it. Raises ConfigurationError for a file that cannot be used."""
    began = time.monotonic()
    with collecting_briefly(), ExitStack() as stack:
        Files(traffic).check()
        files = Files(traffic, stack.enter_context(_progress(traffic)))
        wants = wants_of(scene)
        stage = stage_of(scene, wants, *[_opened(stack, output) for output in outputs])
        summary = Replay(stage).run(batches(files.blocks(), wants, jobs))
    summary.files = files.begun
    summary.broken = [str(file) for file in files.broken]
    summary.seconds = time.monotonic() - began
    return summary


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _hunter(pack: Pack, max_mode: Mode) -> Hunter:
    return hunt()(terms_of(pack, max_mode))


def _keep_traffic(traffic: Sequence[Path], outputs: Sequence[Path | None]) -> None:
    """Refuse to write over what is to be read, or two things into one file."""
    written = [output for output in outputs if output is not None]
    for number, output in enumerate(written):
        if any(_same(output, other) for other in (*traffic, *written[:number])):
            raise typer.BadParameter(f"{output} is another file of this replay already")


def _opened(stack: ExitStack, output: Path | None) -> IO[bytes] | None:
    if output is None:
        return None
    try:
        return stack.enter_context(io.BufferedWriter(_Output(output, "wb")))
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror}") from None


class _Output(io.FileIO):
    """A file that says in words for people what keeps it from being written."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise ConfigurationError(f"{self.name}: cannot be written: {error.strerror}") from None


def _same(output: Path, other: Path) -> bool:
    try:
        return output == other or output.samefile(other)
    except OSError:  # one of them is not there yet, or may not be looked for, which is told when it is opened
        return False


@contextmanager
def _progress(traffic: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told how many bytes more of the traffic were read."""
    known = STDIN not in traffic and all(file.is_file() for file in traffic)
    total = sum(file.stat().st_size for file in traffic) if known else None
    with watched(DownloadColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("traffic", total=total)
        yield lambda read: progress.advance(task, read)
