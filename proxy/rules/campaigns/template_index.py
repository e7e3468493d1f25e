"""Finds the known templates that a prompt matches, by the prints that they share, in a few microseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proxy.rules.campaigns.known import KnownTemplate

_NONE: NDArray[np.uint64] = np.empty(0, np.uint64)


def distinct(template: KnownTemplate) -> NDArray[np.uint64]:
    """Return the prints of a template, each once."""
    return np.unique(np.array(template.prints, np.uint64))


class TemplateIndex:
    """The prints of some templates, sorted; a template is named by its place in the sequence.

    `prints` has the prints of each template, from `distinct`. With the most prints that may be known, making `distinct`
    ones takes 30 ms.
    """

    def __init__(self, templates: Sequence[KnownTemplate], prints: Sequence[NDArray[np.uint64]]) -> None:
        sizes = [len(each) for each in prints]
        together = np.concatenate([_NONE, *prints])
        order = np.argsort(together)
        together, self._owners = together[order], np.repeat(np.arange(len(templates)), sizes)[order]
        # A print may be in several templates: print i has `_counts[i]` owners, from `_owners[_starts[i]]` on.
        self._starts = np.flatnonzero(np.concatenate(([True], together[1:] != together[:-1]))[: len(together)])
        self._counts = np.diff(self._starts, append=len(together))
        self._prints = together[self._starts]
        self._shared = len(together) > len(self._prints)
        self._least = np.array([template.least for template in templates], np.int64)
        self._names = [(size, template.id) for size, template in zip(sizes, templates, strict=True)]

    def matches(self, prints: NDArray[np.uint64]) -> list[int]:
        """Return the templates of which a prompt has enough prints, best first; `prints` are sorted and distinct.

        The best shares the most prints with the prompt; ties go to the smaller template, then by id.
        """
        known = self._prints
        if not len(known):
            return []
        at = known.searchsorted(prints)
        at = at[known.take(at, mode="clip") == prints]
        if not at.size:
            return []
        counted = np.bincount(self._owners_of(at), minlength=len(self._least))
        enough = (counted >= self._least).nonzero()[0].tolist()
        if len(enough) > 1:
            enough.sort(key=lambda number: (-counted[number], self._names[number]))
        return enough

    def _owners_of(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the templates that own the prints at these places, one entry for each print of each."""
        first = self._starts[at]
        if not self._shared:
            return self._owners[first]
        counts = self._counts[at]
        # Position k of the result reads `_owners` at its print's start plus k's offset within that print's owners.
        before = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        owners: NDArray[np.intp] = self._owners[before + np.arange(len(before))]
        return owners
