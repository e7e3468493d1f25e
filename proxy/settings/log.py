"""The settings of the decision log: where it goes, and what vouches for it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.documents.strict_model import StrictModel
from proxy.settings.samples import Samples
from proxy.settings.types import FilePath, Seconds


class DecisionLog(StrictModel):
    """Where the decision records go, and how often where they stand is signed."""

    to: Literal["file", "stdout"] = Field("file", description="A file in the folder, or standard output.")
    folder: FilePath | None = Field(
        None, description="The folder of the files; without one, decisions in the data folder."
    )
    key_file: FilePath | None = Field(
        None, description="The private key that signs checkpoints; without one, log.key in the data folder is made."
    )
    checkpoint_lines: int = Field(
        1000, ge=1, le=1_000_000, description="After how many lines a checkpoint is made at the latest."
    )
    checkpoint_seconds: Seconds = Field(10.0, description="How long after a line a checkpoint is made at the latest.")
    checkpoints_file: FilePath | None = Field(
        None, description="A further place for checkpoints: a file that nobody who can change the log can change."
    )
    checkpoints_to_stdout: bool = Field(
        True, description="Whether they go to standard output too, unless that is a terminal."
    )
    when_cut: Literal["refuse", "go_on"] = Field(
        "refuse",
        description="What to do if the log's file is cut while in use: write no line until it is moved away, "
        "or go on at its new end.",
    )
    samples: Samples = Field(Samples(), description="Sealed samples of what exchanges said, for review.")
