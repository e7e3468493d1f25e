"""The built-in detectors, in the order they run; others join through the entry points `stillgate.detectors`."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy import joining
from proxy.detectors.account import AccountFacts
from proxy.detectors.addresses import Addresses
from proxy.detectors.answer import AnswerFacts
from proxy.detectors.base import Detector
from proxy.detectors.content import Content
from proxy.detectors.foreign_signature import ForeignSignature
from proxy.detectors.new_model import NewModel
from proxy.detectors.request_shape import DIALECT, RequestShape
from proxy.detectors.request_text import RequestText
from proxy.errors import ConfigurationError
from proxy.fields import Field, FieldTable
from proxy.joining import Group
from proxy.log import get
from proxy.patterns.pattern_set import PatternSet
from proxy.settings.types import dialect_names
from proxy.store.base import Store

DETECTORS: tuple[type[Detector], ...] = (
    RequestShape,
    RequestText,
    Addresses,
    AccountFacts,
    AnswerFacts,
    NewModel,
    Content,
    ForeignSignature,
)


def field_table() -> FieldTable:
    """Return the table of all fields, also of joined detectors. Raises ConfigurationError if they do not fit."""
    return _table([*DETECTORS, *joined()])


def build(
    store: Store,
    secret_key: bytes,
    models_released: Mapping[str, float],
    patterns: Sequence[PatternSet],
    *,
    content: Content | None = None,
    others: Sequence[type[Detector]] | None = None,
) -> tuple[Detector, ...]:
    """Make every detector, once for a process.

    `secret_key`, the same on every replica, keys what is remembered of reasoning blocks. `models_released` is Unix
    seconds by model name; without any, nothing is told of new models. `content` replaces the `patterns` if it is given,
    since compiling them takes half a second; `others` replaces what `joined` returns, which takes milliseconds to find.
    Raises ConfigurationError for patterns that cannot be used, and for a joined detector that fails.
    """
    given: dict[type[Detector], Detector] = {  # detectors that need something of the process
        NewModel: NewModel(models_released),
        Content: content or _content(patterns),
        ForeignSignature: ForeignSignature(store, secret_key),
    }
    wanted = [kind for kind in DETECTORS if models_released or kind is not NewModel]
    made = [given[kind] if kind in given else kind() for kind in wanted]
    for kind in joined() if others is None else others:
        try:
            made.append(kind())
        except Exception as error:
            raise ConfigurationError(f"the detector {kind.__qualname__} cannot be made: {error}") from error
    _table(made)
    return tuple(made)


def joined() -> list[type[Detector]]:
    """Return the detector classes of the entry points, to be made without arguments. Raises ConfigurationError."""
    return joining.joined(Group.DETECTORS, Detector)


def patterns_beside(pack: Path) -> Path | None:
    """Return the folder of pattern sets that belongs to a pack: `patterns` beside its file, None if there is none.

    Raises ConfigurationError if the folder cannot be looked at.
    """
    folder = pack.parent / "patterns"
    try:
        return folder if stat.S_ISDIR(folder.stat().st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from None


def _content(sets: Sequence[PatternSet]) -> Content:
    if not sets:
        get("detectors").warning("there are no pattern sets: the content fields keep their defaults")
    return Content(sets)


def _table(detectors: list[type[Detector]] | list[Detector]) -> FieldTable:
    try:
        return FieldTable(_known(field) for detector in detectors for field in detector.fields)
    except ValueError as error:
        raise ConfigurationError(f"the detectors do not fit together: {error}") from None


def _known(field: Field) -> Field:
    """Return a field as it is here: the values of the dialect's field depend on which dialects have joined."""
    return field._replace(among=dialect_names()) if field.name == DIALECT else field
