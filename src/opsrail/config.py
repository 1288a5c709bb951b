"""Every setting, with its unit, bounds and one line of why. The only reader of the environment.

Order: defaults, then the file (`opsrail.toml` in the working folder, or `--config`), then `OPSRAIL_<TRADE>__<NAME>`.
    Unknown keys are refused. Trades get their own part as an argument; nothing here is global.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from opsrail.errors import ConfigInvalid, Fault

PREFIX = "OPSRAIL_"
POOL_NAME = "^[a-z][a-z0-9-]{0,62}$"
FILE = "opsrail.toml"
NOT_SETTINGS = frozenset({"CRASH_AT", "CI"})


class Part(BaseModel):
    """One trade's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreConfig(Part):
    """Where rows live."""

    url: str = Field("", description="`postgresql://...`; empty: SQLite in the data folder")
    allow_weak: bool = Field(
        False,
        description="start although `opsrail doctor` finds that commits may be lost, e.g. on a server without fsync",
    )


class CasesConfig(Part):
    """Durable work."""

    at_once: int = Field(
        256, ge=1, le=10_000, description="cases that run at the same time in one process"
    )
    backlog: int = Field(
        10_000, ge=1, le=10_000_000, description="waiting cases above which new ones get 503"
    )
    threads: int = Field(8, ge=1, le=256, description="threads for plain `def` steps and actions")
    dead_s: float = Field(
        5.0, ge=2, le=86_400, description="silence after which a process is taken for dead"
    )
    poll_s: float = Field(
        1.0,
        ge=0.05,
        le=86_400,
        description="longest time between looks for due work of other processes",
    )
    blocked_loop_s: float = Field(
        1.0,
        ge=0.1,
        le=60,
        description="time a call may hold the event loop before it is named in the log",
    )


class DecideConfig(Part):
    """The decision road."""

    cache_bytes: int = Field(
        16_000_000,
        ge=0,
        le=100_000_000_000,
        description="memory for scores of repeated requests, about 512 bytes each; 0: no cache",
    )
    max_batch: int = Field(
        64, ge=1, le=10_000, description="requests a model scores in one call, at most"
    )
    rows_at_once: int = Field(
        64,
        ge=1,
        le=10_000,
        description="rows of one inference or bulk request that are decided at the same time",
    )
    rows_in_flight: int = Field(
        2_000,
        ge=1,
        le=1_000_000,
        description="requests that wait for one model version at once; more fall back",
    )
    group_wait_ms: float = Field(
        2.0,
        ge=0,
        le=2,
        description="how long a decision waits for others to be committed with; 0: only while a commit is under way",
    )
    records_waiting: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="decisions that wait to be durable at once; more are refused",
    )
    retry_ratio: float = Field(
        0.2,
        ge=0,
        le=1,
        description="retries and second asks of a remote model for each request, at most; 0: none",
    )
    remote_hosts: str = Field(
        "",
        max_length=10_000,
        description="hosts that remote models may be asked at beside this machine: `name` or `name:port`, by commas",
    )
    feature_refresh_ms: int = Field(
        200, ge=0, le=60_000, description="how old the history in features may be"
    )
    feature_visible_after_ms: int = Field(
        0,
        ge=0,
        le=60_000,
        description="age at which a fact counts; 2000 where several processes write",
    )
    idempotency_ttl_s: int = Field(
        604_800,
        ge=3_600,
        le=15_897_600,
        description="time for which an idempotency key stands for its decision; records are kept longer, 184 days",
    )
    explain_ms: int = Field(
        2_000, ge=10, le=60_000, description="time that one explanation on demand may take"
    )


class PoolConfig(Part):
    """Where model versions run whose card names this pool; `local` is always there, and may be described too.

    What a pool runs on is the operator's word: opsrail finds no devices. A `gpu` or `remote` pool is one whose `runtime`
    reaches such a device.
    """

    hardware: Literal["cpu", "gpu", "remote"] = Field("cpu", description="what it runs on")
    runtime: str = Field(
        "", max_length=63, description="what loads versions there; empty: each version's own"
    )
    isolation: Literal["none", "process"] = Field(
        "none",
        description="`process`: every version runs in child processes there, not only those whose card says so",
    )
    warm: int = Field(
        1, ge=1, le=64, description="child processes of a version that are always ready"
    )
    devices: int = Field(
        1, ge=1, le=64, description="child processes of a version, at most, when many requests come"
    )
    batch_s: float = Field(
        5.0, ge=0.01, le=3600, description="time of one batch, then its process is ended as hung"
    )
    memory_bytes: int = Field(
        0,
        ge=0,
        le=1_000_000_000_000,
        description="address space of one child process, at most; 0: no limit",
    )
    quarantine_s: float = Field(
        300.0,
        ge=1,
        le=86_400,
        description="how long a version is left alone that crashed 3 times in 60 s",
    )
    cost_usd_per_hour: float = Field(
        0.0, ge=0, le=1_000_000, description="of one device, counted by the second of model time"
    )
    budget_usd_per_hour: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="cost in an hour above which low requests go elsewhere; 0: no limit",
    )
    budget_usd_per_day: float = Field(0.0, ge=0, le=10_000_000, description="as above, in a day")

    @model_validator(mode="after")
    def _agrees(self) -> PoolConfig:
        if self.devices < self.warm:
            raise ValueError(f"devices is {self.devices}, below warm, which is {self.warm}")
        return self


class ModelsConfig(Part):
    """Models in this process."""

    threads: int = Field(
        1,
        ge=1,
        le=64,
        description="threads that one call of a model may compute with; more only pays for large batches",
    )
    trusted_types: str = Field(
        "",
        description="classes that skops files may hold besides the usual, e.g. `sklearn.svm._classes.SVC`; commas between",
    )

    @property
    def trusted(self) -> tuple[str, ...]:
        """Return `trusted_types` one by one."""
        return tuple(name.strip() for name in self.trusted_types.split(",") if name.strip())


class LedgerConfig(Part):
    """The audit ledger."""

    origin: str = Field(
        "opsrail.local/ledger",
        min_length=1,
        max_length=200,
        description="name of this log in its checkpoints",
    )
    checkpoint_s: float = Field(
        1.0, ge=0.1, le=86_400, description="time between signed checkpoints while entries arrive"
    )


class DocumentsConfig(Part):
    """Reading documents."""

    folder: str = Field(
        "", description="folder that document paths must lie in; empty: the input file's own folder"
    )
    timeout_s: float = Field(60.0, ge=1, le=3600, description="time one page may take")


class WebConfig(Part):
    """The HTTP door."""

    host: str = Field(
        "127.0.0.1", description="address to listen on; anything but loopback needs an API key"
    )
    port: int = Field(8321, ge=0, le=65535, description="0: any free port")
    api_key: str = Field(
        "",
        repr=False,
        description="key for `Authorization: Bearer`; a reference `env:NAME` or `file:PATH`",
    )
    grpc_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of the Open Inference Protocol over gRPC, at the same address; 0: not served",
    )
    bulk_bytes: int = Field(
        100_000_000,
        ge=1_000,
        le=100_000_000_000,
        description="largest body of a bulk request; it is kept in a temporary file while it is decided",
    )
    body_bytes: int = Field(1_000_000, ge=1_000, le=100_000_000, description="largest request body")


class Config(Part):
    """All settings."""

    store: StoreConfig = StoreConfig()
    cases: CasesConfig = CasesConfig()
    decide: DecideConfig = DecideConfig()
    pools: Mapping[Annotated[str, Field(pattern=POOL_NAME)], PoolConfig] = Field(
        default_factory=dict
    )
    models: ModelsConfig = ModelsConfig()
    ledger: LedgerConfig = LedgerConfig()
    documents: DocumentsConfig = DocumentsConfig()
    web: WebConfig = WebConfig()

    @model_validator(mode="after")
    def _is_local(self) -> Config:
        local = self.pools.get("local")
        if local is not None and (local.runtime or local.hardware != "cpu"):
            raise ValueError(
                "pools.local is this process on its own processors: it has no runtime, and hardware cpu"
            )
        return self


def load(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Config, dict[str, str]]:
    """Return the settings and where each that is not a default came from (`web.port` -> `opsrail.toml`).

    Args:
        path: Settings file; None: `opsrail.toml` in the working folder if there.
        environ: Stands in for the process's environment.

    Raises:
        ConfigInvalid: every unknown key and value out of bounds, with its origin. Terminal.
    """
    tree, origins = _from_file(path)
    for name, value in (os.environ if environ is None else environ).items():
        trade, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and key and name.removeprefix(PREFIX) not in NOT_SETTINGS:
            *pool, key = key.split("__", 1)  # OPSRAIL_POOLS__<NAME>__<SETTING>
            part = tree.setdefault(trade, {})
            for each in pool:
                part = part.setdefault(each, {})
            part[key] = value
            origins[".".join((trade, *pool, key))] = name
    try:
        return Config.model_validate(tree), origins
    except ValidationError as wrong:
        found = []
        from_part = {key.partition(".")[0]: origin for key, origin in origins.items()}
        for error in wrong.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in error["loc"])
            message = (
                "no such setting; see `opsrail config show`"
                if error["type"] == "extra_forbidden"
                else error["msg"]
            )
            found.append(
                Fault(
                    place,
                    f"{message} (from {origins.get(place) or from_part.get(place, 'the settings file')})",
                )
            )
        raise ConfigInvalid("the settings are not usable", found) from wrong


def _from_file(path: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    chosen = path or Path(FILE)
    if not chosen.is_file():
        if path is not None:
            raise ConfigInvalid(f"settings file {path} does not exist")
        return {}, {}
    try:
        tree = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ConfigInvalid(f"settings file {chosen} cannot be read: {wrong}") from wrong
    origins = {
        f"{trade}.{key}": str(chosen)
        for trade, part in tree.items()
        if isinstance(part, dict)
        for key in _keys(part)
    }
    return tree, origins


def _keys(part: Mapping[str, Any]) -> list[str]:
    """Return the names of a part's settings; of a pool's with the pool before them."""
    return [
        f"{key}.{inner}" if inner else key
        for key, value in part.items()
        for inner in (value if isinstance(value, dict) else ("",))
    ]


def parts(config: Config) -> Iterator[tuple[str, Part]]:
    """Yield every part with the name of its table, `decide` or `pools.gpu`."""
    for trade in type(config).model_fields:
        part = getattr(config, trade)
        if isinstance(part, Part):
            yield trade, part
        else:
            yield from ((f"{trade}.{name}", each) for name, each in part.items())


def resolved(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """Return what a secret's reference stands for: `env:NAME`, `file:PATH`, or the text itself.

    Raises:
        ConfigInvalid: the variable is unset or the file cannot be read; the message never holds the secret. Terminal.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environ is None else environ).get(name)
        if value is None:
            raise ConfigInvalid(f"secret {reference}: the environment has no {name}")
        return value
    if kind == "file":
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as wrong:
            raise ConfigInvalid(f"secret {reference}: {wrong.strerror}") from wrong
    return reference


CHILD_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
)  # fmt: skip
"""What a model's process is told of the environment: how to find libraries and devices. No secret is among it."""


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a model's process gets."""
    known = os.environ if environ is None else environ
    return {name: known[name] for name in CHILD_ENVIRONMENT if name in known}


def crash_points(environ: Mapping[str, str] | None = None) -> str:
    """Return what `OPSRAIL_CRASH_AT` asks for; empty outside of crash tests."""
    return (os.environ if environ is None else environ).get("OPSRAIL_CRASH_AT", "")
