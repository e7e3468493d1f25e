"""Recognises code outside of fences by how its lines begin, and by where they end."""

from __future__ import annotations

import re
from typing import Final

# What begins a paragraph of code without a fence, or code after a colon: prose begins with a capital letter.
CODE_OPENERS: Final = re.compile(
    r"(?:ALTER|CREATE|DELETE|INSERT|SELECT|UPDATE|WITH"
    r"|alter|begin|create|delete|drop|explain|grant|insert|merge|revoke|select|truncate|update|with"
    r"|assert|async|await|class|const|declare|def|do|elif|else|enum|export|fn|for|foreach|from|func|function|if|import"
    r"|interface|let|module|namespace|package|print|printf|private|public|raise|repeat|require|return|set|static|struct"
    r"|tell|throw|try|type|unless|until|use|using|var|while)(?![\w'’-])|[a-z_][\w.]*\("  # noqa: RUF001 - an apostrophe
    r"|(?:Feature|Scenario):"
)
# What begins a line of code wherever it stands: keywords in capitals, as in SQL, COBOL and what textbooks write.
KEYWORDS: Final = re.compile(
    r"(?:AND|BEGIN|DELETE|ELSE|ELSIF|ELSEIF|FOR|FROM|GROUP|HAVING|IF|INNER|INSERT|JOIN|MOVE|OR|ORDER|PERFORM|REPEAT"
    r"|RETURN|SELECT|THEN|UNTIL|UPDATE|VALUES|WHEN|WHERE|WHILE)(?![\w'’-])"  # noqa: RUF001 - an apostrophe
)
# A line with one of these is code or a formula from there on. So is all up to a blank line, unless the line began like
# prose or an item of a list.
OPERATORS: Final = frozenset({"=", "==", "===", "!=", ":=", "+=", "-=", "<=", ">=", "&&", "||"})
_NARROW, _COLUMN = 30, 50


def ends_early(last: str, width: int, widest: int) -> bool:
    """Tell whether a line ended with this character although the next run would only have made it `width` wide.

    Prose is wrapped at more than some thirty columns, or at the width of the paragraph's widest line, or not at all.
    """
    return width < max(_NARROW, min(_COLUMN, widest)) and (last.isalnum() or last in ")]_")
