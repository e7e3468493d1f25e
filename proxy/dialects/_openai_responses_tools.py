"""Reads the tools of a request for a response, wherever tools are offered."""

from __future__ import annotations

import re
from typing import Any

from proxy.dialects import _request as request

# Any other type may reach another server with a credential from the body.
_TOOL = re.compile(
    r"apply_patch|code_interpreter|computer|computer_use_preview|custom|file_search|function|image_generation"
    r"|local_shell|namespace|programmatic_tool_calling|shell|tool_search|web_search(?:_preview)?(?:_\d{4}_\d{2}_\d{2})?"
)
_MAX_TOOLS = 10_000  # a tool search goes through thousands, of which the model sees a few


def check_tools(holder: dict[str, Any], where: str = "") -> None:
    """Check the tools of a request, of a namespace or of the result of a tool search."""
    for index, tool in enumerate(request.objects(holder, "tools", _MAX_TOOLS, where)):
        _check_tool(tool, f"{where}tools[{index}]")


def _check_tool(tool: dict[str, Any], where: str) -> None:
    kind = tool.get("type")
    if type(kind) is not str or not _TOOL.fullmatch(kind):
        raise request.wrong(f"{where}.type", "a type of tool that this proxy knows")
    if kind == "namespace":
        check_tools(tool, f"{where}.")
