"""Texts that show one habit of style each, and a writer who does as an instruction says."""

from __future__ import annotations

from proxy.marks.style import HABITS

SHOWN: dict[str, tuple[str, str]] = {
    "bullet": ("- flour,", "* flour,"),
    "number": ("1. flour,", "1) flour,"),
    "item": ("+ Knead the dough", "+ Knead the dough."),
    "loose": ("• flour,\n• water,", "• flour,\n\n• water,"),
    "lead": ("You need:\n\n+ flour,", "You need this.\n+ flour,"),
    "label": ("**Flour:** 500 g", "**Flour**: 500 g"),
    "after": ("**Flour:** Sieved\n\n**Salt**: Fine", "**Flour:** sieved\n\n**Salt**: fine"),
    "heading": ("#### 1 The first rest", "#### 1 The First Rest"),
    "level": ("##", "###"),
    "numbered": ("#### 2.", "#### Rest"),
    "ampersand": ("#### 1 & 2", "#### 1 and 2"),
    "rule": ("#### 1\n---\n\n#### 2", "#### 1\nIt rests.\n\n#### 2"),
    "opening": ("#### 1", "---\n#### 1\n.\n#### 2"),
    "closing": ("#### (Summary)", "#### (Conclusion)"),
    "dash": ("The dough — it lives", "The dough—it lives"),
    "range": ("It takes 3–4 hours", "It takes 3 to 4 hours"),
    "quotes": ('Call it "alive"', "Call it 'alive'"),
    "apostrophe": ("It isn't done", "It isn’t done"),
    "italics": ("It is *alive* now", "It is _alive_ now"),
    "latin": ("fats (e.g., butter)", "fats (e.g. butter)"),
    "points": ("bakers of the U.S. agree", "bakers of the US agree"),
    "percent": ("It has 60% water", "It has 60 percent water"),
    "digits": ("It takes three hours", "It takes 3 hours"),
    "date": ("It was 5 March 2024", "It was March 5, 2024"),
    "versus": ("rye vs. wheat", "rye versus wheat"),
    "email": ("Send an email", "Send an e-mail"),
}


def obeying(instruction: str) -> list[str]:
    """Return texts by somebody who does what an instruction asks for, a habit in each and twice as many openings."""
    asked = instruction.partition(": ")[2].rstrip(".").split("; ")
    ways = {way: (name, at) for name, habit in HABITS.items() for at, way in enumerate(habit.asked)}
    texts = {name: SHOWN[name][at] for name, at in map(ways.__getitem__, asked)}
    # A text with a heading cannot but begin with one or not.
    return [*texts.values(), *[texts["opening"]] * len(texts)]
