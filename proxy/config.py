"""The settings of one deployment: one YAML file, or all defaults; what the command line says goes before both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from proxy.documents.document import Document, Steps, Value
from proxy.documents.problem import Problem, YamlProblems, has_errors, in_order
from proxy.documents.strict_model import StrictModel, validate
from proxy.settings.checks import find_contradictions
from proxy.settings.issuers import Issuer, issuer_contradictions
from proxy.settings.limits import Limits
from proxy.settings.listeners import Admin, Health, Listen
from proxy.settings.log import DecisionLog
from proxy.settings.store import StoreSettings, store_contradictions
from proxy.settings.trace import TraceSettings
from proxy.settings.types import (
    BetaName,
    FilePath,
    IssuerName,
    Link,
    ModelName,
    ParameterName,
    PublicId,
    Seconds,
    UpstreamName,
    is_file,
)
from proxy.settings.upstreams import Model, Upstream

_OWN_PACK = Path("policies/default.yaml")
_INSTALLED_PACK = Path("/etc/stillgate/policies/default.yaml")
# What came with the program lies beside this package: under the first name in a wheel, the second in a repository.
_SHIPPED = tuple(Path(__file__).parents[1] / folder for folder in ("stillgate-policies", "policies"))
_PACKS = (_OWN_PACK, _INSTALLED_PACK, *(folder / "default.yaml" for folder in _SHIPPED))
_HANDED_OVER = (Path("/dev"), Path("/dev/fd"))  # where files stand that are not kept
_SHORT_NAMES = {"host": "listen.host", "port": "listen.port"}
_HEAD = {"apiVersion": "stillgate/v1", "kind": "Settings"}


class Hunter(StrictModel):
    """How campaigns are looked for, where the pack has `campaigns`."""

    run: bool = Field(
        True, description="Whether serve runs a hunter beside its workers; of all that run, one is active."
    )
    judge_seconds: Seconds = Field(
        30.0, description="How often it looks for campaigns in the exchanges reported to it."
    )
    stream_bytes: int = Field(
        256 << 20,
        ge=1 << 20,
        le=1 << 36,
        description="How much the store keeps of events that the hunter has not saved yet.",
    )


def _default_pack(folder: Path = Path()) -> Path:
    return next(filter(is_file, (folder / pack for pack in _PACKS)), _INSTALLED_PACK)


def shipped_pack(name: str) -> Path:
    """Return the file of a pack that came with the program."""
    files = [folder / name for folder in _SHIPPED]
    return next(filter(is_file, files), files[0])


class Settings(StoreSettings):
    """Everything that an operator decides outside the pack."""

    apiVersion: Literal["stillgate/v1"] = Field(description="The version of this language.")  # noqa: N815 - the file's key
    kind: Literal["Settings"] = Field(description="What the file is.")
    listen: Listen = Field(Listen(), description="Where customers connect.")
    admin: Admin = Field(Admin(), description="Where health, metrics and the command line are served.")
    health: Health = Field(Health(), description="Health and metrics, and nothing else, for those not on this machine.")
    data: FilePath = Field(
        Path(".stillgate"), validate_default=True, description="The folder for everything that is kept."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that serve customers.")
    pack: FilePath = Field(
        default_factory=_default_pack,
        description=f"The policy pack; without one {_OWN_PACK}, else {_INSTALLED_PACK}, else the one shipped within.",
    )
    max_mode: Literal["off", "shadow", "enforce"] = Field(
        "enforce",
        description="The most that rules and the ladder may do, whatever the pack says; quotas are not affected.",
    )
    secret_file: FilePath | None = Field(
        None, description="The master secret; without one, master.secret in the data folder is made."
    )
    upstreams: dict[UpstreamName, Upstream] = Field({}, description="The model APIs, by a name of your own.")
    models: dict[ModelName, Model] = Field({}, description="The models that customers may name.")
    issuers: Annotated[dict[IssuerName, Issuer], Field(max_length=64)] = Field(
        {}, description="Whose tokens (JWT) are accepted besides our API keys, by a name of your own."
    )
    decision_log: DecisionLog = Field(DecisionLog(), description="Where the decision records go.")
    trace: TraceSettings = Field(TraceSettings(), description="Distributed traces, W3C Trace Context.")
    hunter: Hunter = Field(Hunter(), description="How campaigns are looked for, if the pack asks for any.")
    docs_url: Link = Field("", description="The page about limits, for {docs_url} in a pack's messages.")
    appeal_url: Link = Field("", description="Where a customer can object, for {appeal_url} in a pack's messages.")
    limits: Limits = Field(Limits(), description="What clients may take of a worker.")
    trusted_hops: int = Field(
        0, ge=0, le=16, description="How many proxies in front have their X-Forwarded-For entries believed."
    )
    allow_parameters: Annotated[tuple[ParameterName, ...], Field(max_length=256)] = Field(
        (), description="Request keys to let through beyond those that each dialect knows."
    )
    allow_betas: Annotated[tuple[BetaName, ...], Field(max_length=64)] = Field(
        (), description="What customers may turn on with `anthropic-beta`, by the API's names for it."
    )
    public_ids: Annotated[tuple[PublicId, ...], Field(max_length=4096)] = Field(
        (), description="Ids of what the upstreams keep that every customer may name: stored prompts, files and such."
    )
    auth_stale_max_seconds: Seconds = Field(
        60.0, description="How long known keys still work while the store is away, and so a revocation's longest delay."
    )

    @property
    def uses_stand_in(self) -> bool:
        """Whether the stand-in model answers, because no upstream is configured."""
        return not self.upstreams

    @property
    def master_secret(self) -> Path:
        """The file of the master secret."""
        return self.secret_file or self.data / "master.secret"

    @property
    def snapshot_folder(self) -> Path:
        """The folder of the store's snapshot, which a start without the store begins from."""
        return self.data / "snapshot"

    @property
    def log_key(self) -> Path:
        """The file of the key that signs the decision log's checkpoints."""
        return self.decision_log.key_file or self.data / "log.key"

    @property
    def decisions_folder(self) -> Path:
        """The folder of the decision log's files."""
        return self.decision_log.folder or self.data / "decisions"

    @property
    def samples_folder(self) -> Path:
        """The folder of the sealed samples."""
        return self.decision_log.samples.folder or self.data / "samples"


def load_settings(path: Path | None, overrides: Mapping[str, object]) -> Settings:
    """Read the settings, or take all defaults without a file; raises YamlProblems with everything that is wrong.

    `overrides` are what the command line said, by dotted key (or `host`, `port`); None means that it said nothing. A
    relative path belongs to the folder of the file it stands in; a `Path` in `overrides`, and all of a file that a
    shell hands over, to the working directory.
    """
    # Imported here: a worker takes its settings from its parent, already checked, and never parses YAML.
    from proxy.documents.strict_yaml import parse, read  # noqa: PLC0415 - see above

    file = parse(read(path), str(path)) if path else Document(dict(_HEAD), {}, "settings")
    folder = _folder_of(path) if path else Path()
    said: dict[Steps, object] = {
        tuple(_SHORT_NAMES.get(key, key).split(".")): str(value.absolute()) if isinstance(value, Path) else value
        for key, value in overrides.items()
        if value is not None
    }
    _, problems = validate(Document(_with(_HEAD, said), {}, "command line"), Settings)
    if not has_errors(problems):
        kept = {steps: place for steps, place in file.marks.items() if steps not in said}
        file = replace(file, value=_with(file.value, said), marks=kept)
    settings, in_file = validate(file, Settings, {"folder": folder})
    problems = in_order([*problems, *in_file, *_contradictions(file, folder)])
    if settings is None or has_errors(problems):
        raise YamlProblems(problems)
    if "pack" not in settings.model_fields_set:
        return settings.model_copy(update={"pack": _default_pack(folder)})
    return settings


def _folder_of(file: Path) -> Path:
    """Return the folder of a settings file; of one that a shell hands over, such as /dev/stdin, nothing lies beside."""
    place = file.parent.resolve()
    return Path() if place in _HANDED_OVER or place.is_relative_to("/proc") else file.parent


def _contradictions(file: Document, folder: Path) -> Iterator[Problem]:
    yield from store_contradictions(file, folder)
    yield from find_contradictions(file)
    yield from issuer_contradictions(file)


def _with(value: Value, said: Mapping[Steps, object]) -> Value:
    """Return the document's value with some keys replaced; what has the wrong shape stays, to be shown as wrong."""
    merged = deepcopy(value)
    for path, new in said.items():
        holder = merged
        for step in path[:-1]:
            holder = holder.setdefault(str(step), {}) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[str(path[-1])] = new
    return merged
