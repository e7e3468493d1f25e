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
    """The prints of some templates, sorted; the templates are named by their place in the sequence.

    `prints` are those of each template, as `distinct` makes them: of all that may be known, that takes 30 ms.
    """

    def __init__(self, templates: Sequence[KnownTemplate], prints: Sequence[NDArray[np.uint64]]) -> None:
        sizes = [len(each) for each in prints]
        together = np.concatenate([_NONE, *prints])
        order = np.argsort(together)
        together, self._owners = together[order], np.repeat(np.arange(len(templates)), sizes)[order]
        # A print may be of several templates; its owners stand from `starts` on, so many as `counts` says.
        self._starts = np.flatnonzero(np.concatenate(([True], together[1:] != together[:-1]))[: len(together)])
        self._counts = np.diff(self._starts, append=len(together))
        self._prints = together[self._starts]
        self._shared = len(together) > len(self._prints)
        self._least = np.array([template.least for template in templates], np.int64)
        self._names = [(size, template.id) for size, template in zip(sizes, templates, strict=True)]

    def matches(self, prints: NDArray[np.uint64]) -> list[int]:
        """Return the templates of which a prompt has enough, the best first; `prints` are sorted and distinct.

        The best shares the most prints. Of those that share as many it is the smallest, and then the id decides.
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
        """Return the templates that have the prints at these places, each as often as it has one."""
        first = self._starts[at]
        if not self._shared:
            return self._owners[first]
        counts = self._counts[at]
        # The k-th of all owners is the one at its print's start, as many further on as it comes after the first.
        before = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        owners: NDArray[np.intp] = self._owners[before + np.arange(len(before))]
        return owners
