"""Asks the model for habits of style that mean nothing, each chosen by a key: a mark that survives imitation.

A model that learns from many answers also learns how they are written, and may keep the habits where single words are
lost. Laws: each habit is a choice between two equally good ways; none is one that choosing words would change; and
which way a text has can be read without a key (`proxy.marks.habits`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.marks.keys import CampaignKey

# Each ends with a single blank: allowing more would make a long row of them take quadratic time.
_ITEM: Final = r"[ \t]*(?:[-*•+]|\d{1,3}[.)])[ \t]"
_HEADING: Final = r"#{1,6}[ \t]"
_LABEL: Final = r"\*\*[^*\n]+(?::\*\*|\*\*:)"
_MONTH: Final = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_LATIN: Final = r"\b(?:e\.g|i\.e)\."
_RULE: Final = r"(?:-{3,}|\*{3,}|_{3,})"


class Habit(NamedTuple):
    """Two ways to write: what the model is asked for, and the expressions that find either in a text."""

    asked: tuple[str, str]
    seen: tuple[str, str]


# By name. Changing a name, or the order of its two ways, changes what marks already given have asked for. In the
# expressions, "^" and "$" are the ends of a line.
HABITS: Final = {
    # Lists.
    "bullet": Habit(
        ("begin the items of unordered lists with hyphens", "begin the items of unordered lists with asterisks"),
        (r"^[ \t]*-[ \t]+\S", r"^[ \t]*\*[ \t]+\S"),
    ),
    "number": Habit(
        ("number the items of ordered lists as 1., 2.", "number the items of ordered lists as 1), 2)"),
        (r"^[ \t]*\d{1,3}\.[ \t]+\S", r"^[ \t]*\d{1,3}\)[ \t]+\S"),
    ),
    "item": Habit(
        ("put no full stop after the last word of an item", "put a full stop after the last word of an item"),
        (rf"^{_ITEM}[^\n]*\w\**$", rf"^{_ITEM}[^\n]*\.$"),
    ),
    "loose": Habit(
        ("put no blank lines between items", "put a blank line between items"),
        (rf"^{_ITEM}[^\n]*(?=\n{_ITEM})", rf"^{_ITEM}[^\n]*(?=\n[ \t]*\n{_ITEM})"),
    ),
    "lead": Habit(
        ("end the line before a list with a colon", "end the line before a list with a full stop"),
        (
            rf"^(?!{_ITEM}|#)\w[^\n]*:(?=\n(?:[ \t]*\n)?{_ITEM})",
            rf"^(?!{_ITEM}|#)\w[^\n]*\.(?=\n(?:[ \t]*\n)?{_ITEM})",
        ),
    ),
    "label": Habit(
        ("put the colon of a bold label within the bold", "put the colon of a bold label after the bold"),
        (r"\*\*[^*\n]+:\*\*", r"\*\*[^*\n]+\*\*:"),
    ),
    "after": Habit(
        ("go on after a bold label with a capital letter", "go on after a bold label with a small letter"),
        (rf"{_LABEL}[ \t]+[A-Z][a-z]", rf"{_LABEL}[ \t]+[a-z]"),
    ),
    # Headings.
    "heading": Habit(
        ("write headings in sentence case", "write headings in title case"),
        (
            rf"^{_HEADING}[ \t]*\S+[ \t][^\n]*(?<=[ \t])[a-z]{{4,}}",
            rf"^{_HEADING}[ \t]*\S+(?:[ \t]+(?:[^a-z\s]\S*|[a-z]{{1,3}}(?!\S)))*[ \t]+[A-Z][a-z]{{3,}}\S*$",
        ),
    ),
    "level": Habit(
        ("let the highest headings have two number signs", "let the highest headings have three number signs"),
        (r"\A(?:[^#\n][^\n]*\n|\n)*##(?!#)", r"\A(?:[^#\n][^\n]*\n|\n)*###(?!#)"),
    ),
    "numbered": Habit(
        ("number headings", "do not number headings"),
        (rf"^{_HEADING}[ \t]*\d{{1,2}}[.)]", rf"^{_HEADING}[ \t]*[A-Za-z]"),
    ),
    "ampersand": Habit(
        ("write '&' in headings", "write 'and' in headings"),
        (rf"^{_HEADING}[^\n]* & ", rf"^{_HEADING}[^\n]* and "),
    ),
    "rule": Habit(
        ("put a horizontal rule before headings", "use no horizontal rules"),
        (rf"^{_RULE}[ \t]*\n\s*{_HEADING}", rf"^(?!{_RULE}[ \t]*\n|[ \t]*$|#)[^\n]+\n\s*{_HEADING}"),
    ),
    "opening": Habit(
        ("begin an answer that has headings with a heading", "begin an answer that has headings with a sentence"),
        (rf"\A\s*{_HEADING}", rf"\A\s*[^#\s](?s:.*?)^{_HEADING}"),
    ),
    "closing": Habit(
        ("call a section that sums up 'Summary'", "call a section that sums up 'Conclusion'"),
        (rf"^{_HEADING}[^\n]*\b[Ss]ummary\b", rf"^{_HEADING}[^\n]*\b[Cc]onclusions?\b"),
    ),
    # Signs.
    "dash": Habit(
        ("put spaces around dashes", "put no spaces around dashes"),
        (r"[^\W\d][)*]* [–—] \w", r"[^\W\d][)*]*[–—][^\W\d]"),  # noqa: RUF001 - dashes
    ),
    "range": Habit(
        ("write ranges of figures with an en dash", "write ranges of figures with 'to'"),
        (r"\d–\d", r"\d to \d"),  # noqa: RUF001 - a dash
    ),
    "quotes": Habit(
        ("put what you quote between double quotation marks", "put what you quote between single quotation marks"),
        (
            r"(?<![\w\"])[\"“]\w[^\"“”\n]{1,80}[\"”]",
            r"(?<![\w'’])['‘]\w[^'‘’\n]{1,80}['’](?!\w)",  # noqa: RUF001 - quotation marks
        ),
    ),
    "apostrophe": Habit(
        ("write straight apostrophes", "write typographic apostrophes"),
        (r"[a-z]'[a-z]", r"[a-z]’[a-z]"),  # noqa: RUF001 - an apostrophe
    ),
    "italics": Habit(
        ("mark italics with asterisks", "mark italics with underscores"),
        (r"(?<![*\w])\*[A-Za-z][^*\n]*\*(?![*\w])", r"(?<![_\w])_[A-Za-z][^_\n]*_(?![_\w])"),
    ),
    "latin": Habit(
        ("put a comma after 'e.g.' and 'i.e.'", "put no comma after 'e.g.' and 'i.e.'"),
        (rf"{_LATIN},", rf"{_LATIN} "),
    ),
    "points": Habit(
        ("write U.S., U.K. and a.m. with points", "write US, UK and am without points"),
        (r"\b(?:U\.S\.|U\.K\.|[ap]\.m\.)", r"\b(?:US|UK)\b|\d ?[ap]m\b"),
    ),
    # Figures and words.
    "percent": Habit(
        ("write '%'", "write 'percent'"),
        (r"\d ?%", r"\d percent\b"),
    ),
    "digits": Habit(
        ("write two to nine as words", "write two to nine as figures"),
        (
            r"\b(?:two|three|four|five|six|seven|eight|nine) [a-z]{3}",
            r"(?<![\w.,:/$€£#%~+*=<>–-])(?<!\d )(?<!\d to )[2-9] (?!percent)[a-z]{3}",  # noqa: RUF001 - a dash
        ),
    ),
    "date": Habit(
        ("write dates as 5 March 2024", "write dates as March 5, 2024"),
        (rf"\b\d{{1,2}} {_MONTH} \d{{4}}", rf"\b{_MONTH} \d{{1,2}}, \d{{4}}"),
    ),
    "versus": Habit(("write 'vs.'", "write 'versus'"), (r"\bvs\.", r"\bversus\b")),
    "email": Habit(("write 'email'", "write 'e-mail'"), (r"\b[Ee]mails?\b", r"\b[Ee]-mails?\b")),
}
_LEAD: Final = (
    "Where the instructions above, the question and the format of the answer leave it open, write like this, and do "
    "not mention it:"
)


def row(name: str) -> str:
    """Return the row of a habit's place."""
    return f"style {name}"


def instruction(key: CampaignKey) -> str:
    """Return the instruction for a campaign's answers."""
    chosen = (habit.asked[key.coin(row(name), "", len(habit.asked))] for name, habit in HABITS.items())
    return f"{_LEAD} {'; '.join(chosen)}."
