"""Prints of a prompt: a few keyed 64-bit values, of which two prompts share some where they share text.

Laws: the same key gives the same prints, on every replica; how a prompt is split into texts changes nothing; which
prints a sample leaves out depends on the prints alone, so that two samples keep in common what they have in common; how
many letters are winnowed only decides which prints long prompts have between their ends.
Without the key, prints tell only which of them are equal: each is half of a block that AES-256 made of a gram's hash.
The hash itself is no pseudo-random function, and never leaves this room. Whoever has the key can guess texts and
compare.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from proxy.exchange import Text
from proxy.fingerprint.canonical import Alphabet, Canonical
from proxy.fingerprint.distinct import distinct
from proxy.fingerprint.grams import GRAM, ROW_LETTERS, RUN_SURE, Grams, Hashes, Letters
from proxy.fingerprint.lengths import LETTERS_USUAL

_KEY_BYTES = 32
_STRING = attrgetter("text")
_BLOCK_HASHES = 2  # an AES block holds so many; both are the same hash
SAMPLE_MOST = 128
# A template mostly stands where a prompt starts or ends. In a long prompt these ends have their own share of the
# sample, so that other text does not crowd a template's prints out.
_EDGE_PRINTS = 160  # of some 2,000 characters
_EDGE_SHARE = 32
# Some 60,000 characters; looking up twice as many among all known prints takes half a millisecond.
_EVERY_OF_EDGE = 1 << 12
_NONE: Hashes = np.empty(0, np.uint64)


class Prints(NamedTuple):
    """What a prompt is recognised by.

    `sample` is sorted and distinct, at most `SAMPLE_MOST` prints of the whole prompt. `question` is the print of the
    last message that a user wrote, `whole` that of everything; 0 where there are no letters. `every` are the prints
    that the sample is taken from, sorted and distinct, the very same array if it leaves none out; of a very long
    prompt, those at either end.
    """

    sample: Hashes
    question: int
    whole: int
    every: Hashes


_Sample: TypeAlias = tuple[Hashes, Hashes]  # a sample, and the prints it is taken from


class _Read(NamedTuple):
    letters: Letters
    whole: int
    question: int


class _Seal(threading.local):
    """AES under one key, a separate cipher in each thread."""

    def __init__(self, key: bytes) -> None:
        # ECB: equal hashes are to become equal prints.
        self.update = Cipher(AES(key), ECB()).encryptor().update  # noqa: S305 - see above


class Fingerprinter:
    """Makes prints under one key of 32 bytes, in any thread; its tables take 5 MB and 30 ms to make."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes, not {_KEY_BYTES}")
        self._alphabet = Alphabet()
        self._grams = Grams(_subkey(key, b"grams"))
        # A key for each width of characters: the same bytes would be other text in the other width.
        self._digests = {size: blake2b(digest_size=8, key=_subkey(key, b"whole%d" % size)) for size in (1, 4)}
        self._seal = _Seal(_subkey(key, b"seal"))

    def of(self, texts: Sequence[Text], max_letters: int = LETTERS_USUAL) -> Prints:
        """Return the prints of a prompt, whose texts are read as one; up to `max_letters` it is winnowed whole."""
        return self.of_each([texts], max_letters)[0]

    def of_each(self, prompts: Sequence[Sequence[Text]], max_letters: int = LETTERS_USUAL) -> list[Prints]:
        """Return the prints of several prompts, as `of` makes them; together, short ones cost less."""
        read = [self._read(texts) for texts in prompts]
        samples = self._samples(read, max_letters)
        return [
            Prints(sample, one.question, one.whole, every) for (sample, every), one in zip(samples, read, strict=True)
        ]

    def _read(self, texts: Sequence[Text]) -> _Read:
        begin, end = _last_of_user(texts)
        strings = list(map(_STRING, texts))
        parts = map("".join, (strings[:begin], strings[begin:end], strings[end:]))
        characters, asked, bits = self._alphabet.with_part(*parts)
        whole = self._digest(characters)
        question = whole if end - begin == len(texts) else self._digest(asked)
        return _Read(self._grams.letters_of(characters, bits), whole, question)

    def _samples(self, each: Sequence[_Read], max_letters: int) -> list[_Sample]:
        """Return a sample of the prints of each prompt; those that fit into a row together are made together."""
        samples: list[_Sample] = [(_NONE, _NONE)] * len(each)
        row: list[int] = []
        room = ROW_LETTERS
        for index, (letters, whole, _) in enumerate(each):
            if not RUN_SURE <= letters.size <= ROW_LETTERS:
                samples[index] = _sample(self._every(letters, whole, max_letters))
                continue
            if letters.size > room:
                self._sample_row(row, each, samples)
                row, room = [], ROW_LETTERS
            row.append(index)
            room -= letters.size
        if row:
            self._sample_row(row, each, samples)
        return samples

    def _sample_row(self, row: Sequence[int], each: Sequence[_Read], samples: list[_Sample]) -> None:
        hashes, spans = self._grams.kept_of_each([each[index].letters for index in row])
        prints = self._sealed(hashes)
        ordered = prints.copy()
        for begin, end in spans:
            ordered[begin:end].sort()
        same = ordered[1:] == ordered[:-1]
        distinct = not np.count_nonzero(same)
        for index, (begin, end) in zip(row, spans, strict=True):
            if distinct and end - begin <= 2 * _EDGE_PRINTS:
                every = ordered[begin:end]
                samples[index] = every if end - begin <= SAMPLE_MOST else every[:SAMPLE_MOST], every
            else:
                samples[index] = _sample(prints[begin:end])

    def _every(self, letters: Letters, whole: int, max_letters: int) -> Hashes:
        """Return all prints in the order of the text; a text shorter than a gram has that of the whole."""
        if letters.size < GRAM:
            return np.array([whole][: letters.size], np.uint64)
        return self._sealed(self._grams.kept(letters, max_letters))

    def _sealed(self, hashes: Hashes) -> Hashes:
        blocks = hashes.repeat(_BLOCK_HASHES).tobytes()
        return np.frombuffer(self._seal.update(blocks), np.uint64)[::_BLOCK_HASHES]

    def _digest(self, characters: Canonical) -> int:
        """Return a print of characters in their order (BLAKE2b as a keyed hash, RFC 7693), 0 if there are none."""
        if not characters.size:
            return 0
        digest = self._digests[characters.itemsize].copy()
        digest.update(characters.data)
        return int.from_bytes(digest.digest(), "little")


def _subkey(key: bytes, purpose: bytes) -> bytes:
    return blake2b(b"stillgate/prints/v1", digest_size=_KEY_BYTES, key=key, person=purpose).digest()


def _last_of_user(texts: Sequence[Text]) -> tuple[int, int]:
    """Return where the texts of the user's last message begin and end; their places share the message's index."""
    end = len(texts)
    while end and texts[end - 1].role != "user":
        end -= 1
    if not end:
        return 0, 0
    begin, message = end - 1, texts[end - 1].where.partition("]")[0]
    while begin and texts[begin - 1].role == "user" and texts[begin - 1].where.partition("]")[0] == message:
        begin -= 1
    return begin, end


def _sample(prints: Hashes) -> _Sample:
    """Return the prints with the least values, and all (bottom-k: Broder, On the resemblance of documents, 1997)."""
    ordered = every = distinct(prints)
    if ordered.size <= SAMPLE_MOST:
        return ordered, ordered
    if prints.size <= 2 * _EDGE_PRINTS:
        return ordered[:SAMPLE_MOST], ordered
    edges = [distinct(edge)[:_EDGE_SHARE] for edge in (prints[:_EDGE_PRINTS], prints[-_EDGE_PRINTS:])]
    chosen = distinct(np.concatenate(edges))
    others = np.ones(ordered.size, np.bool_)
    others[ordered.searchsorted(chosen)] = False
    if prints.size > 2 * _EVERY_OF_EDGE:
        every = distinct(np.concatenate((prints[:_EVERY_OF_EDGE], prints[-_EVERY_OF_EDGE:])))
    return np.sort(np.concatenate((chosen, ordered[others][: SAMPLE_MOST - chosen.size]))), every
