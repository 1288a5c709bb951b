"""Every table on one page: which row type lives where, and by which key. `store/migrations/` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsrail.values.access import ApiKeyRow, GrantRow, SessionRow, SignInLinkRow, UserRow
from opsrail.values.cases import (
    CaseRow,
    HoldRow,
    InboxRow,
    JournalRow,
    KeyRow,
    OutboxRow,
    SwitchRow,
    WorkerRow,
)
from opsrail.values.changes import ApprovalRow, ChangeRow, SettingsChangeRow, SettingsRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.features import FactRow, FeatureValueRow, ViewRow
from opsrail.values.intake import FileRow
from opsrail.values.jobs import JobFileRow, JobRow
from opsrail.values.ledger import (
    CheckpointRow,
    LedgerEntryRow,
    LedgerLeaderRow,
    LedgerPendingRow,
    LedgerRunRow,
    LedgerTileRow,
    LedgerWriterRow,
)
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.registry import (
    ArtifactRow,
    CardRow,
    ModelVersionRow,
    RolloutChangeRow,
    RolloutRow,
)
from opsrail.values.reviews import (
    ControlRow,
    CursorRow,
    NoticeRow,
    ReviewEventRow,
    ReviewRow,
    RulingRow,
)
from opsrail.values.rollouts import AlarmRow, GuaranteeRow, RolloutRunRow
from opsrail.values.rows import Index, Table
from opsrail.values.shadows import ShadowScoreRow

TABLES: Mapping[type[tuple[Any, ...]], Table] = {
    CaseRow: Table("cases", ("id",)),
    JournalRow: Table("journal", ("case_id", "seq")),
    InboxRow: Table("inbox", ("id",)),
    OutboxRow: Table("outbox", ("key",)),
    KeyRow: Table("keys", ("scope", "key")),
    WorkerRow: Table("workers", ("id",)),
    HoldRow: Table("holds", ("case_id",)),
    SwitchRow: Table("switches", ("name",)),
    FileRow: Table("files", ("digest",)),
    DecisionRow: Table("decisions", ("id",)),
    ReviewRow: Table("reviews", ("id",)),
    RulingRow: Table("rulings", ("review_id", "by")),
    ReviewEventRow: Table("review_events", ("review_id", "seq")),
    NoticeRow: Table("notices", ("id",)),
    ControlRow: Table("controls", ("id",)),
    CursorRow: Table("cursors", ("name",)),
    UserRow: Table("users", ("name",)),
    GrantRow: Table("grants", ("holder", "scope", "role")),
    SessionRow: Table("sessions", ("digest",)),
    SignInLinkRow: Table("sign_in_links", ("digest",)),
    ApiKeyRow: Table("api_keys", ("id",)),
    ModelVersionRow: Table("model_versions", ("name", "number")),
    CardRow: Table("cards", ("name", "number", "revision")),
    ArtifactRow: Table("artifacts", ("digest",)),
    RolloutRow: Table("rollouts", ("point", "model_name", "model_number")),
    RolloutChangeRow: Table("rollout_changes", ("point", "revision")),
    RolloutRunRow: Table("rollout_runs", ("id",)),
    ChangeRow: Table("changes", ("id",)),
    ApprovalRow: Table("approvals", ("change_id", "by")),
    SettingsRow: Table("settings", ("point",)),
    SettingsChangeRow: Table("settings_changes", ("point", "revision")),
    ShadowScoreRow: Table("shadow_scores", ("decision_id", "model_name", "model_number")),
    OutcomeRow: Table("outcomes", ("id",)),
    GuaranteeRow: Table("guarantees", ("id",)),
    AlarmRow: Table("alarms", ("id",)),
    FactRow: Table("facts", ("id",)),
    FeatureValueRow: Table("feature_values", ("id",)),
    ViewRow: Table("feature_views", ("name", "number")),
    JobRow: Table("jobs", ("id",)),
    JobFileRow: Table("job_files", ("id",)),
    LedgerEntryRow: Table("ledger_entries", ("writer", "seq")),
    LedgerPendingRow: Table("ledger_pending", ("writer", "first_seq")),
    LedgerWriterRow: Table("ledger_writers", ("writer",)),
    LedgerRunRow: Table("ledger_runs", ("first_index",), (("writer", "first_seq"),)),
    LedgerTileRow: Table("ledger_tiles", ("level", "number")),
    CheckpointRow: Table("checkpoints", ("size",)),
    LedgerLeaderRow: Table("ledger_leaders", ("name",)),
}

INDEXES: Mapping[type[tuple[Any, ...]], tuple[Index, ...]] = {
    CaseRow: (
        Index(("state", "due_at_ms"), "due_at_ms"),
        Index(("state", "priority", "due_at_ms"), "due_at_ms"),
        Index(("owner",), "owner"),
        Index(("state", "id")),
        Index(("automation", "id")),
        Index(("correlation_id",)),
    ),
    InboxRow: (Index(("case_id",)),),
    OutboxRow: (Index(("state", "due_at_ms")), Index(("case_id",))),
    DecisionRow: (Index(("case_id",), "case_id"),),
    ReviewRow: (
        Index(("state", "queue", "priority", "id")),
        Index(("state", "urgent_at_ms", "opened_at_ms", "id", "queue", "skills")),
        Index(("state", "priority", "urgent_at_ms", "opened_at_ms", "id", "queue")),
        Index(("case_id",)),
        Index(("decision_id",), "decision_id"),
        Index(("assignee", "state"), "assignee"),
        Index(("wake_at_ms",), "wake_at_ms"),
        Index(("state", "ruled_at_ms"), "ruled_at_ms"),
        Index(("delivered_at_ms",), "delivered_at_ms"),
    ),
    NoticeRow: (Index(("state", "due_at_ms")), Index(("subject_id",))),
    ControlRow: (Index(("queue", "used")),),
    SessionRow: (Index(("user",)),),
    RolloutChangeRow: (Index(("point", "at_ms", "revision")),),
    RolloutRunRow: (Index(("state",)),),
    ChangeRow: (Index(("point", "state")),),
    SettingsChangeRow: (Index(("point", "at_ms", "revision")),),
    OutcomeRow: (Index(("decision_id",)),),
    GuaranteeRow: (Index(("point",)),),
    AlarmRow: (Index(("point",)),),
    FactRow: (Index(("view", "number", "entity", "id")),),
    FeatureValueRow: (Index(("view", "number", "entity", "event_at_ms")),),
    JobRow: (Index(("state",)),),
    LedgerEntryRow: (Index(("subject_id",)),),
}
"""Secondary indexes that the hot queries lean on; the plan tests hold them to it.

A case that runs or has settled has no due_at_ms and, settled, no owner: on the hot path those indexes cost next to nothing
(ADR 0009).
"""
