"""The Lua scripts, read from their files and ready to be called by digest."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """One script: its source, and the digest by which a server knows it once it is loaded."""

    source: bytes
    digest: bytes


class Scripts(NamedTuple):
    """All scripts of the store."""

    reserve: Script
    credit: Script
    hold: Script
    note: Script
    claim: Script
    conclude: Script
    write: Script
    append: Script
    follow: Script
    trim: Script


def read_scripts() -> Scripts:
    """Read the scripts; reserve, credit and note share the sliding window."""
    window = _text("window.lua")
    return Scripts(
        reserve=_script(window + _text("reserve.lua")),
        credit=_script(window + _text("credit.lua")),
        hold=_script(_text("hold.lua")),
        note=_script(window + _text("note.lua")),
        claim=_script(_text("claim.lua")),
        conclude=_script(_text("conclude.lua")),
        write=_script(_text("write.lua")),
        append=_script(_text("append.lua")),
        follow=_script(_text("follow.lua")),
        trim=_script(_text("trim.lua")),
    )


def _text(name: str) -> str:
    return (files("proxy.store") / "lua" / name).read_text("utf-8")


def _script(text: str) -> Script:
    # With this first line a server that is out of memory, or a replica, refuses the whole script before it starts.
    # Without it, the script would run up to the first write that is not allowed, and leave its earlier writes.
    source = f"#!lua\n{text}".encode()
    return Script(source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())
