"""Reads our Dockerfile: what each stage does, and what the image says about how it is run."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


@dataclass(slots=True)
class Stage:
    """One stage: what it starts from, its name, and its instructions in order, each with all of its words."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, word: str) -> list[str]:
        return [said for name, said in self.instructions if name == word]

    def last(self, word: str) -> str:
        return self.all_of(word)[-1]

    def command(self, word: str) -> list[str]:
        """Return the words of an instruction in its form without a shell."""
        return [str(each) for each in json.loads(self.last(word))]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [word.partition("=") for said in self.all_of("ENV") for word in shlex.split(said)]
        return {name: value for name, _, value in pairs}


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile; what stands before the first belongs to none."""
    found: list[Stage] = []
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, said = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = said.partition(" AS ")
            found.append(Stage(base, name))
        elif word and found:
            found[-1].instructions.append((word, said.strip()))
    return found
