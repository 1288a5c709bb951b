"""Every setting, with its unit, bounds and one line of why. Trades get their own part as an argument; nothing is global."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from opsrail.config.notify import ChannelConfig as ChannelConfig
from opsrail.config.notify import NotifyConfig as NotifyConfig
from opsrail.config.part import Part as Part
from opsrail.config.part import from_text, hidden

POOL_NAME = "^[a-z][a-z0-9-]{0,62}$"


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
    feature_visible_after_ms: int | None = Field(
        None,
        ge=0,
        le=60_000,
        description="age at which a fact counts; None: 2000 on PostgreSQL, where several processes write, else 0",
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
    tracking_uri: str = Field(
        "", description="MLflow server that versions come from and go to, http://HOST:PORT"
    )
    tracking_secret: str = hidden("its token, or user:password, sent to tracking_uri alone")
    tracking_timeout_s: float = Field(
        30.0, ge=0.1, le=3600, description="time one call of it may take; a file ten times as long"
    )

    @property
    def trusted(self) -> tuple[str, ...]:
        """Return `trusted_types` one by one."""
        return tuple(name.strip() for name in self.trusted_types.split(",") if name.strip())


class AccessConfig(Part):
    """People who sign in."""

    session_idle_s: int = Field(
        3_600, ge=60, le=604_800, description="a session that nobody uses for so long ends"
    )
    session_s: int = Field(
        43_200, ge=300, le=2_592_000, description="a session ends after so long, however busy it is"
    )
    link_s: int = Field(
        3_600, ge=60, le=604_800, description="a one-time sign-in link can be used for so long"
    )


class ChangesConfig(Part):
    """Changes of live behaviour."""

    direct_up_to: Literal["none", "low", "medium", "high"] = Field(
        "medium",
        description="highest tier at which `opsrail models promote` and `rollouts` ask nobody; above, `opsrail changes`",
    )


class ShadowConfig(Part):
    """Challengers that score along: what they may take of one process."""

    rows_waiting: int = Field(
        1_000,
        ge=1,
        le=1_000_000,
        description="requests that wait for one challenger at once; more are dropped and counted",
    )
    at_once: int = Field(
        1, ge=1, le=64, description="calls of all challengers together that are under way at once"
    )
    time_ratio: float = Field(
        0.25,
        ge=0.001,
        le=64,
        description="seconds that calls of all challengers together may take in each second",
    )
    call_s: float = Field(
        5.0,
        ge=0.01,
        le=3_600,
        description="time of one call, then it is given up and its challenger left alone",
    )


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


class WatchConfig(Part):
    """The guard, which carries rollouts."""

    poll_s: float = Field(
        0.25,
        ge=0.05,
        le=86_400,
        description="time between two looks at a rollout; bad versions are left that much later",
    )
    late_ms: int = Field(
        500,
        ge=0,
        le=60_000,
        description="age at which a decision counts as durable; above the longest commit plus the difference of clocks",
    )


class ReviewsConfig(Part):
    """Spot checks and control cases among reviews."""

    poll_s: float = Field(
        1.0, ge=0.05, le=86_400, description="time between two looks at what is to be drawn from"
    )
    controls: Annotated[
        Mapping[str, Annotated[float, Field(ge=0, le=0.5)]], BeforeValidator(from_text)
    ] = Field(
        {},
        description="by queue, which share of its reviews are control cases; up to 0.5; as a variable: JSON",
    )
    control_uses: int = Field(
        1,
        ge=1,
        le=1_000,
        description="how often one control case is put to people, at most; above 1 some may remember it",
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
    api_key: str = hidden("key for `Authorization: Bearer`")
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
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+/?)?$",
        description="how browsers reach this server, e.g. `https://opsrail.example.com`; empty: under its own address",
    )


SEVERAL_WRITERS_MS = 2_000
"""Ours: commits take milliseconds, and the clocks of machines with time service differ by less."""


class Config(Part):
    """All settings."""

    store: StoreConfig = StoreConfig()
    cases: CasesConfig = CasesConfig()
    decide: DecideConfig = DecideConfig()
    pools: Mapping[Annotated[str, Field(pattern=POOL_NAME)], PoolConfig] = Field(
        default_factory=dict
    )
    shadow: ShadowConfig = ShadowConfig()
    models: ModelsConfig = ModelsConfig()
    changes: ChangesConfig = ChangesConfig()
    ledger: LedgerConfig = LedgerConfig()
    access: AccessConfig = AccessConfig()
    watch: WatchConfig = WatchConfig()
    reviews: ReviewsConfig = ReviewsConfig()
    notify: NotifyConfig = NotifyConfig()
    channels: Mapping[Annotated[str, Field(pattern=POOL_NAME)], ChannelConfig] = Field(
        default_factory=dict
    )
    documents: DocumentsConfig = DocumentsConfig()
    web: WebConfig = WebConfig()

    @property
    def facts_visible_after_ms(self) -> int:
        """Return the age from which facts count: where several processes write, a later id may be committed first."""
        chosen = self.decide.feature_visible_after_ms
        if chosen is not None:
            return chosen
        return SEVERAL_WRITERS_MS if self.store.url else 0

    @model_validator(mode="after")
    def _is_local(self) -> Config:
        local = self.pools.get("local")
        if local is not None and (local.runtime or local.hardware != "cpu"):
            raise ValueError(
                "pools.local is this process on its own processors: it has no runtime, and hardware cpu"
            )
        return self
