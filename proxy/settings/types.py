"""The kinds of values that settings hold beyond plain text and numbers, each parsed once and shown without secrets."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from proxy.documents.problem import one_of
from proxy.joining import Group, names
from proxy.settings.store_address import StoreAddress, read_place

# The built-in dialects, in the order in which they are shown.
DIALECTS: Final = (
    "openai.chat",
    "openai.responses",
    "openai.completions",
    "openai.embeddings",
    "anthropic.messages",
    "anthropic.count_tokens",
)
# Six decimals of a dollar for a million tokens are one picodollar (10^-12 dollars) for a token.
PICODOLLARS_PER_TOKEN = 1_000_000
_MODEL = re.compile(r"[!-~]{1,128}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9][A-Za-z0-9-]{0,62}(\.[A-Za-z0-9-]{1,63})*\.?")
_AUTHORITY = re.compile(  # of a URL; names of containers have underscores
    r"(.*@)?(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w-]{1,63}(\.[\w-]{1,63})*\.?)(:[0-9]*)?", re.ASCII
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PUBLIC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}")
_BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def dialect_names() -> tuple[str, ...]:
    """Return the names of all dialects: of the built-in ones, then of those that join."""
    return (*DIALECTS, *names(Group.DIALECTS))


def _dialect(name: object) -> str:
    known = dialect_names()
    if name not in known:
        raise PydanticCustomError("enum", "should be {expected}", {"expected": one_of([f"'{one}'" for one in known])})
    return str(name)


def _store(address: object) -> StoreAddress:
    if not isinstance(address, str):
        raise ValueError("should be embedded or a URL")  # noqa: TRY004 - pydantic collects ValueErrors only
    if address != "embedded":
        read_place(address)
    return StoreAddress(address)


def parts_of(url: str, wrong: ValueError) -> SplitResult:
    """Take a URL of http or https with a host apart. Raises `wrong` for what is none, or is read in two ways."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise wrong from None
    visible = re.fullmatch(r"[!-~]+", url) and "\\" not in url
    if parts.scheme not in ("http", "https") or not visible or not _AUTHORITY.fullmatch(parts.netloc):
        raise wrong
    return parts


def _origin(url: str) -> str:
    wrong = ValueError("should be an http or https origin with an optional path, such as https://api.example.com")
    parts = parts_of(url, wrong)
    if "@" in parts.netloc:
        raise ValueError("has a user name or password: put the credential into a file and name it in credential_file")
    if "?" in url or "#" in url:
        raise ValueError("has a query or a fragment: only an origin and a path may stand here")
    if any(step in (".", "..") for step in parts.path.split("/")) or "//" in parts.path or "%" in parts.path:
        raise ValueError("has a path with //, dots or escapes: write the plain path")
    return url.rstrip("/")


def _link(url: str) -> str:
    if url and not re.fullmatch(r"(https?://|mailto:)[!-~]{1,500}", url):
        raise ValueError("should be an http, https or mailto link")
    return url


def _path(name: object, info: ValidationInfo) -> Path:
    if not isinstance(name, str | Path) or not name or "\0" in str(name):
        raise ValueError("should be a path")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / name


def is_file(path: Path) -> bool:
    """Tell whether there is a file that can be seen; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _existing(path: Path) -> Path:
    if not is_file(path):
        raise ValueError("there is no such file, or it cannot be seen")
    return path


def _dollars(price: object) -> Decimal:
    if isinstance(price, bool) or not isinstance(price, int | float):
        raise ValueError("should be a number of dollars")  # noqa: TRY004 - pydantic collects ValueErrors only
    exact = Decimal(repr(price))  # a float's shortest form is what was written
    if not 0 <= exact <= 1_000_000:
        raise ValueError("should be from 0 to 1000000 dollars")
    if exact != round(exact, 6):
        raise ValueError("has more than six decimals: nothing is finer than a picodollar per token")
    return exact


def _date(text: object) -> date:
    wrong = ValueError("should be a date such as 2026-01-31")
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise wrong
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise wrong from None


def is_loopback(host: str) -> bool:
    """Tell whether a listener on this host is reachable from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback(host: str) -> str:
    if not is_loopback(host):
        raise ValueError("the admin side listens on loopback only in this release, such as 127.0.0.1")
    return host


def _host(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ValueError("should be an address or a host name") from None
    return host


def _served_host(host: str) -> str:
    """Return a host as a request names it, without its port: IPv6 has brackets there, and no zone."""
    return f"[{IPv6Address(int(IPv6Address(host)))}]" if ":" in _host(host) else host.lower()


def _named(pattern: re.Pattern[str], sentence: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


DialectName = Annotated[str, PlainValidator(_dialect)]
Store = Annotated[StoreAddress, PlainValidator(_store), PlainSerializer(str)]
Link = Annotated[str, AfterValidator(_link)]
Origin = Annotated[str, AfterValidator(_origin)]
# Relative to the folder in the validation context: the settings file's own.
FilePath = Annotated[Path, PlainValidator(_path)]
ExistingFile = Annotated[FilePath, AfterValidator(_existing)]
Date = Annotated[date, PlainValidator(_date)]
Dollars = Annotated[Decimal, PlainValidator(_dollars)]
Host = Annotated[str, AfterValidator(_host)]
ServedHost = Annotated[str, AfterValidator(_served_host)]
LoopbackHost = Annotated[Host, AfterValidator(_loopback)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
UpstreamName = Annotated[str, _named(_NAME, "should be 1 to 64 lower-case letters, digits, - and _")]
IssuerName = UpstreamName
ModelName = Annotated[str, _named(_MODEL, "should be 1 to 128 visible ASCII characters")]
PublicId = Annotated[str, _named(_PUBLIC_ID, "should be an id as the upstream wrote it")]
BetaName = Annotated[str, _named(_BETA, "should be the name of a beta, as `anthropic-beta` has it")]
ParameterName = Annotated[str, _named(_PARAMETER, "should be the name of a request's top-level key")]
