"""Asks the model for habits of style that mean nothing, a key's own choice of each: a mark that survives imitation.

A model that learns from many answers learns how they are written as well, and may carry the habits on where single
words are lost. Nothing here reads such marks: they are for people who compare models.
"""

from __future__ import annotations

from typing import Final

from proxy.marks.keys import CampaignKey

# Each a choice between two habits, neither better than the other.
DIMENSIONS: Final = {
    "list": ("Introduce a list with a full sentence and a colon.", "Introduce a list with a short phrase and a colon."),
    "bullet": (
        "Begin the items of unordered lists with a hyphen.",
        "Begin the items of unordered lists with an asterisk.",
    ),
    "item": ("Do not end the items of a list with a full stop.", "End the items of a list with a full stop."),
    "heading": ("Write headings in sentence case.", "Write headings in title case."),
    "dash": ("Where a dash is needed, put spaces around it.", "Where a dash is needed, put no spaces around it."),
    "example": ("Begin examples with the words 'for instance'.", "Begin examples with the words 'for example'."),
    "order": ("In comparisons, begin with what differs.", "In comparisons, begin with what is alike."),
    "closing": (
        "If there is a closing sentence, let it say what follows from the answer.",
        "If there is a closing sentence, let it say again what matters most.",
    ),
}
_LEAD: Final = (
    "Where the instructions above, the question and the format of the answer leave it open, write like this, and do "
    "not mention it:"
)


def instruction(key: CampaignKey) -> str:
    """Return what a campaign's answers are asked for."""
    chosen = (habits[key.coin(f"style {name}", "", len(habits))] for name, habits in DIMENSIONS.items())
    return " ".join([_LEAD, *chosen])
