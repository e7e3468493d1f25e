"""Puts a package beside ours as if it had been installed: a module and the entry points that name its classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DETECTOR = """
from proxy.fields import Cost, Field
class Mine:
    fields = (Field("mine.length", 0, "How long it is.", cost=Cost.TEXT),)
    def inspect(self, exchange):
        return {"mine.length": len(exchange.texts)}
"""
ACTION = """
from dataclasses import replace
class Hush:
    name = "hush"
    summary = "Asks for a cold answer."
    parameters = {"degrees": "How cold."}
    discloses = "nothing"
    never_touches = "the answer"
    def __init__(self, degrees):
        self.degrees = degrees
    @classmethod
    def read(cls, value):
        if set(value) != {"degrees"}:
            raise ValueError("takes degrees")
        return cls(value["degrees"])
    def begin(self, exchange, tools):
        return self
    async def on_call(self, call):
        return replace(call, body={**call.body, "temperature": self.degrees})
"""
DIALECT = """
from proxy.dialects.openai_chat import OpenAIChat
class Chat(OpenAIChat):
    name = "mine.chat"
    path = "/mine/chat"
"""


def plug_in(folder: Path, code: str, points: Mapping[str, str]) -> None:
    """Write the module `plugged` and its entry points: by group, lines such as `mine = plugged:Mine`."""
    (folder / "plugged.py").write_text(code)
    info = folder / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{lines}\n" for group, lines in points.items()))
