CREATE TABLE "cases" (
  "id" TEXT NOT NULL,
  "automation" TEXT NOT NULL,
  "definition" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "source" TEXT NOT NULL,
  "input" TEXT NOT NULL,
  "outcome" TEXT,
  "reason" TEXT,
  "waiting_for" TEXT,
  "owner" TEXT,
  "failures" BIGINT NOT NULL,
  "losses" BIGINT NOT NULL,
  "progress" BIGINT NOT NULL,
  "priority" BIGINT NOT NULL,
  "due_at_ms" BIGINT,
  "correlation_id" TEXT NOT NULL,
  "salt" TEXT NOT NULL,
  "accepted_at_ms" BIGINT NOT NULL,
  "updated_at_ms" BIGINT NOT NULL,
  "settled_at_ms" BIGINT,
  "requested_by" TEXT,
  PRIMARY KEY ("id")
);
CREATE TABLE "journal" (
  "case_id" TEXT NOT NULL,
  "seq" BIGINT NOT NULL,
  "kind" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "digest" TEXT NOT NULL,
  "result" TEXT NOT NULL,
  "attempts" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("case_id", "seq")
) /* sqlite: WITHOUT ROWID */;
CREATE TABLE "inbox" (
  "id" TEXT NOT NULL,
  "case_id" TEXT NOT NULL,
  "topic" TEXT NOT NULL,
  "payload" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "outbox" (
  "key" TEXT NOT NULL,
  "case_id" TEXT NOT NULL,
  "automation" TEXT NOT NULL,
  "action" TEXT NOT NULL,
  "payload" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "owner" TEXT,
  "attempts" BIGINT NOT NULL,
  "due_at_ms" BIGINT NOT NULL,
  "last_error" TEXT,
  "response" TEXT,
  "created_at_ms" BIGINT NOT NULL,
  "sent_at_ms" BIGINT,
  PRIMARY KEY ("key")
);
CREATE TABLE "keys" (
  "scope" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "body_digest" TEXT NOT NULL,
  "subject_id" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("scope", "key")
) /* sqlite: WITHOUT ROWID */;
CREATE TABLE "workers" (
  "id" TEXT NOT NULL,
  "host" TEXT NOT NULL,
  "pid" BIGINT NOT NULL,
  "state" TEXT NOT NULL,
  "started_at_ms" BIGINT NOT NULL,
  "heartbeat_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "holds" (
  "case_id" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("case_id")
);
CREATE TABLE "switches" (
  "name" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("name")
);
CREATE TABLE "files" (
  "digest" TEXT NOT NULL,
  "automation" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "rows" BIGINT NOT NULL,
  "rejected" BIGINT NOT NULL,
  "accepted" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("digest")
);
CREATE TABLE "decisions" (
  "id" TEXT NOT NULL,
  "point" TEXT NOT NULL,
  "case_id" TEXT,
  "seq" BIGINT,
  "model_name" TEXT,
  "model_number" BIGINT,
  "policy_version" TEXT NOT NULL,
  "score" DOUBLE PRECISION,
  "verdict" TEXT NOT NULL,
  "proposed" TEXT,
  "source" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "unknown_count" BIGINT NOT NULL,
  "degraded" BOOLEAN NOT NULL,
  "latency_us" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  "record" TEXT NOT NULL,
  "salt" TEXT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "reviews" (
  "id" TEXT NOT NULL,
  "case_id" TEXT,
  "automation" TEXT NOT NULL,
  "queue" TEXT NOT NULL,
  "decision_id" TEXT,
  "subject" TEXT NOT NULL,
  "verdict" TEXT,
  "state" TEXT NOT NULL,
  "priority" BIGINT NOT NULL,
  "due_at_ms" BIGINT,
  "assignee" TEXT,
  "lease_until_ms" BIGINT,
  "claimed_at_ms" BIGINT,
  "version" BIGINT NOT NULL,
  "ruling" TEXT,
  "ruling_reason" TEXT,
  "ruled_by" TEXT,
  "salt" TEXT NOT NULL,
  "opened_at_ms" BIGINT NOT NULL,
  "ruled_at_ms" BIGINT,
  "labels" TEXT,
  "purpose" TEXT NOT NULL,
  "form" TEXT,
  "fields" TEXT,
  "requester" TEXT,
  "skills" TEXT NOT NULL,
  "eyes" BIGINT NOT NULL,
  "blind" BOOLEAN NOT NULL,
  "level" BIGINT NOT NULL,
  "wake_at_ms" BIGINT,
  "delivered_at_ms" BIGINT,
  "truth" TEXT,
  "terms" TEXT,
  "urgent_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "rulings" (
  "review_id" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "verdict" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "fields" TEXT,
  "first" TEXT,
  "is_reconsidered" BOOLEAN NOT NULL,
  "held_s" DOUBLE PRECISION,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("review_id", "by")
);
CREATE TABLE "review_events" (
  "review_id" TEXT NOT NULL,
  "seq" BIGINT NOT NULL,
  "kind" TEXT NOT NULL,
  "by" TEXT,
  "content" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("review_id", "seq")
);
CREATE TABLE "notices" (
  "id" TEXT NOT NULL,
  "channel" TEXT NOT NULL,
  "address" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "subject_id" TEXT NOT NULL,
  "content" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "attempts" BIGINT NOT NULL,
  "due_at_ms" BIGINT NOT NULL,
  "last_error" TEXT,
  "created_at_ms" BIGINT NOT NULL,
  "sent_at_ms" BIGINT,
  PRIMARY KEY ("id")
);
CREATE TABLE "controls" (
  "id" TEXT NOT NULL,
  "queue" TEXT NOT NULL,
  "subject" TEXT NOT NULL,
  "truth" TEXT NOT NULL,
  "added_by" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  "used" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "cursors" (
  "name" TEXT NOT NULL,
  "position" TEXT NOT NULL,
  "version" BIGINT NOT NULL,
  PRIMARY KEY ("name")
);
CREATE TABLE "users" (
  "name" TEXT NOT NULL,
  "shown" TEXT NOT NULL,
  "address" TEXT,
  "password" TEXT,
  "state" TEXT NOT NULL,
  "skills" TEXT NOT NULL,
  "zone" TEXT NOT NULL,
  "quiet" TEXT,
  "failures" BIGINT NOT NULL,
  "locked_until_ms" BIGINT,
  "created_by" TEXT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  "version" BIGINT NOT NULL,
  PRIMARY KEY ("name")
);
CREATE TABLE "grants" (
  "holder" TEXT NOT NULL,
  "scope" TEXT NOT NULL,
  "role" TEXT NOT NULL,
  "granted_by" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("holder", "scope", "role")
);
CREATE TABLE "sessions" (
  "digest" TEXT NOT NULL,
  "user" TEXT NOT NULL,
  "csrf" TEXT NOT NULL,
  "made_at_ms" BIGINT NOT NULL,
  "seen_at_ms" BIGINT NOT NULL,
  "ends_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("digest")
);
CREATE TABLE "sign_in_links" (
  "digest" TEXT NOT NULL,
  "user" TEXT NOT NULL,
  "made_by" TEXT NOT NULL,
  "made_at_ms" BIGINT NOT NULL,
  "ends_at_ms" BIGINT NOT NULL,
  "used_at_ms" BIGINT,
  PRIMARY KEY ("digest")
);
CREATE TABLE "api_keys" (
  "id" TEXT NOT NULL,
  "digest" TEXT NOT NULL,
  "title" TEXT NOT NULL,
  "made_by" TEXT NOT NULL,
  "made_at_ms" BIGINT NOT NULL,
  "ends_at_ms" BIGINT,
  "used_at_ms" BIGINT,
  "revoked_at_ms" BIGINT,
  PRIMARY KEY ("id")
);
CREATE TABLE "model_versions" (
  "name" TEXT NOT NULL,
  "number" BIGINT NOT NULL,
  "digest" TEXT NOT NULL,
  "runtime" TEXT NOT NULL,
  "training_digest" TEXT NOT NULL,
  "metrics" TEXT NOT NULL,
  "card" TEXT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("name", "number")
);
CREATE TABLE "cards" (
  "name" TEXT NOT NULL,
  "number" BIGINT NOT NULL,
  "revision" BIGINT NOT NULL,
  "card" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("name", "number", "revision")
);
CREATE TABLE "artifacts" (
  "digest" TEXT NOT NULL,
  "content" BLOB NOT NULL,
  PRIMARY KEY ("digest")
);
CREATE TABLE "rollouts" (
  "point" TEXT NOT NULL,
  "stage" TEXT NOT NULL,
  "model_name" TEXT NOT NULL,
  "model_number" BIGINT NOT NULL,
  "share" DOUBLE PRECISION NOT NULL,
  "revision" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("point", "model_name", "model_number")
);
CREATE TABLE "rollout_changes" (
  "point" TEXT NOT NULL,
  "revision" BIGINT NOT NULL,
  "stage" TEXT NOT NULL,
  "model_name" TEXT NOT NULL,
  "model_number" BIGINT NOT NULL,
  "changed_by" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  "share" DOUBLE PRECISION NOT NULL,
  "standing" TEXT NOT NULL,
  PRIMARY KEY ("point", "revision")
);
CREATE TABLE "rollout_runs" (
  "id" TEXT NOT NULL,
  "point" TEXT NOT NULL,
  "model_name" TEXT NOT NULL,
  "model_number" BIGINT NOT NULL,
  "champion_name" TEXT,
  "champion_number" BIGINT,
  "steps" TEXT NOT NULL,
  "step" BIGINT NOT NULL,
  "guard" TEXT NOT NULL,
  "tests" TEXT NOT NULL,
  "cursor" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "revision" BIGINT NOT NULL,
  "started_at_ms" BIGINT NOT NULL,
  "entered_at_ms" BIGINT NOT NULL,
  "ended_at_ms" BIGINT,
  "why" TEXT,
  "version" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "changes" (
  "id" TEXT NOT NULL,
  "point" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "tier" TEXT NOT NULL,
  "plan" TEXT NOT NULL,
  "author" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "base_revision" BIGINT NOT NULL,
  "version" BIGINT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  "applied_by" TEXT,
  "applied_at_ms" BIGINT,
  "ended_by" TEXT,
  "ended_at_ms" BIGINT,
  "why" TEXT,
  PRIMARY KEY ("id")
);
CREATE TABLE "approvals" (
  "change_id" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "verdict" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("change_id", "by")
);
CREATE TABLE "settings" (
  "point" TEXT NOT NULL,
  "revision" BIGINT NOT NULL,
  "content" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("point")
);
CREATE TABLE "settings_changes" (
  "point" TEXT NOT NULL,
  "revision" BIGINT NOT NULL,
  "content" TEXT NOT NULL,
  "change_id" TEXT,
  "changed_by" TEXT NOT NULL,
  "reason" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("point", "revision")
);
CREATE TABLE "shadow_scores" (
  "decision_id" TEXT NOT NULL,
  "model_name" TEXT NOT NULL,
  "model_number" BIGINT NOT NULL,
  "point" TEXT NOT NULL,
  "score" DOUBLE PRECISION,
  "confidence" DOUBLE PRECISION,
  "verdict" TEXT,
  "code" TEXT,
  "latency_us" BIGINT NOT NULL,
  "cost_usd" DOUBLE PRECISION NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("decision_id", "model_name", "model_number")
);
CREATE TABLE "outcomes" (
  "id" TEXT NOT NULL,
  "decision_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "value" DOUBLE PRECISION NOT NULL,
  "source" TEXT NOT NULL,
  "ratio" DOUBLE PRECISION NOT NULL,
  "by" TEXT NOT NULL,
  "known_at_ms" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "guarantees" (
  "id" TEXT NOT NULL,
  "point" TEXT NOT NULL,
  "spec" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "cursor" TEXT NOT NULL,
  "made_at_ms" BIGINT NOT NULL,
  "broken_at_ms" BIGINT,
  "ended_at_ms" BIGINT,
  "version" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "alarms" (
  "id" TEXT NOT NULL,
  "point" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "subject" TEXT NOT NULL,
  "text" TEXT NOT NULL,
  "content" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  "ended_at_ms" BIGINT,
  "ended_by" TEXT,
  PRIMARY KEY ("id")
);
CREATE TABLE "facts" (
  "id" TEXT NOT NULL,
  "view" TEXT NOT NULL,
  "number" BIGINT NOT NULL,
  "entity" TEXT NOT NULL,
  "fact" TEXT NOT NULL,
  "case_id" TEXT,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "feature_values" (
  "id" TEXT NOT NULL,
  "view" TEXT NOT NULL,
  "number" BIGINT NOT NULL,
  "entity" TEXT NOT NULL,
  "event_at_ms" BIGINT NOT NULL,
  "written_at_ms" BIGINT NOT NULL,
  "content" TEXT NOT NULL,
  "source" TEXT NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "feature_views" (
  "name" TEXT NOT NULL,
  "number" BIGINT NOT NULL,
  "digest" TEXT NOT NULL,
  "definition" TEXT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("name", "number")
);
CREATE TABLE "jobs" (
  "id" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "subject" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "wish" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "owner" TEXT,
  "losses" BIGINT NOT NULL,
  "done" DOUBLE PRECISION NOT NULL,
  "total" DOUBLE PRECISION NOT NULL,
  "words" TEXT NOT NULL,
  "result" TEXT,
  "problem" TEXT,
  "file_id" TEXT,
  "version" BIGINT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  "begun_at_ms" BIGINT,
  "ended_at_ms" BIGINT,
  PRIMARY KEY ("id")
);
CREATE TABLE "job_files" (
  "id" TEXT NOT NULL,
  "media" TEXT NOT NULL,
  "digest" TEXT NOT NULL,
  "size_bytes" BIGINT NOT NULL,
  "by" TEXT NOT NULL,
  "created_at_ms" BIGINT NOT NULL,
  "content" BLOB NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "ledger_entries" (
  "writer" TEXT NOT NULL,
  "seq" BIGINT NOT NULL,
  "prev_hash" TEXT NOT NULL,
  "leaf_hash" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "subject_id" TEXT NOT NULL,
  "body" TEXT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("writer", "seq")
);
CREATE TABLE "ledger_pending" (
  "writer" TEXT NOT NULL,
  "first_seq" BIGINT NOT NULL,
  "entry_count" BIGINT NOT NULL,
  PRIMARY KEY ("writer", "first_seq")
) /* sqlite: WITHOUT ROWID */;
CREATE TABLE "ledger_writers" (
  "writer" TEXT NOT NULL,
  "sequenced" BIGINT NOT NULL,
  "started_at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("writer")
);
CREATE TABLE "ledger_runs" (
  "first_index" BIGINT NOT NULL,
  "writer" TEXT NOT NULL,
  "first_seq" BIGINT NOT NULL,
  "entry_count" BIGINT NOT NULL,
  PRIMARY KEY ("first_index"),
  UNIQUE ("writer", "first_seq")
);
CREATE TABLE "ledger_tiles" (
  "level" BIGINT NOT NULL,
  "number" BIGINT NOT NULL,
  "hashes" BLOB NOT NULL,
  PRIMARY KEY ("level", "number")
);
CREATE TABLE "checkpoints" (
  "size" BIGINT NOT NULL,
  "root" TEXT NOT NULL,
  "note" TEXT NOT NULL,
  "epoch" BIGINT NOT NULL,
  "at_ms" BIGINT NOT NULL,
  PRIMARY KEY ("size")
);
CREATE TABLE "ledger_leaders" (
  "name" TEXT NOT NULL,
  "epoch" BIGINT NOT NULL,
  "holder" TEXT NOT NULL,
  "lease_until_ms" BIGINT NOT NULL,
  "size" BIGINT NOT NULL,
  PRIMARY KEY ("name")
);
CREATE INDEX "cases_state_due_at_ms" ON "cases" ("state", "due_at_ms") WHERE "due_at_ms" IS NOT NULL;
CREATE INDEX "cases_state_priority_due_at_ms" ON "cases" ("state", "priority", "due_at_ms") WHERE "due_at_ms" IS NOT NULL;
CREATE INDEX "cases_owner" ON "cases" ("owner") WHERE "owner" IS NOT NULL;
CREATE INDEX "cases_state_id" ON "cases" ("state", "id");
CREATE INDEX "cases_automation_id" ON "cases" ("automation", "id");
CREATE INDEX "cases_correlation_id" ON "cases" ("correlation_id");
CREATE INDEX "inbox_case_id" ON "inbox" ("case_id");
CREATE INDEX "outbox_state_due_at_ms" ON "outbox" ("state", "due_at_ms");
CREATE INDEX "outbox_case_id" ON "outbox" ("case_id");
CREATE INDEX "decisions_case_id" ON "decisions" ("case_id") WHERE "case_id" IS NOT NULL;
CREATE INDEX "reviews_state_queue_priority_id" ON "reviews" ("state", "queue", "priority", "id");
CREATE INDEX "reviews_state_urgent_at_ms_opened_at_ms_id_queue_skills" ON "reviews" ("state", "urgent_at_ms", "opened_at_ms", "id", "queue", "skills");
CREATE INDEX "reviews_state_priority_urgent_at_ms_opened_at_ms_id_queue" ON "reviews" ("state", "priority", "urgent_at_ms", "opened_at_ms", "id", "queue");
CREATE INDEX "reviews_case_id" ON "reviews" ("case_id");
CREATE INDEX "reviews_decision_id" ON "reviews" ("decision_id") WHERE "decision_id" IS NOT NULL;
CREATE INDEX "reviews_assignee_state" ON "reviews" ("assignee", "state") WHERE "assignee" IS NOT NULL;
CREATE INDEX "reviews_wake_at_ms" ON "reviews" ("wake_at_ms") WHERE "wake_at_ms" IS NOT NULL;
CREATE INDEX "reviews_state_ruled_at_ms" ON "reviews" ("state", "ruled_at_ms") WHERE "ruled_at_ms" IS NOT NULL;
CREATE INDEX "reviews_delivered_at_ms" ON "reviews" ("delivered_at_ms") WHERE "delivered_at_ms" IS NOT NULL;
CREATE INDEX "notices_state_due_at_ms" ON "notices" ("state", "due_at_ms");
CREATE INDEX "notices_subject_id" ON "notices" ("subject_id");
CREATE INDEX "controls_queue_used" ON "controls" ("queue", "used");
CREATE INDEX "sessions_user" ON "sessions" ("user");
CREATE INDEX "rollout_changes_point_at_ms_revision" ON "rollout_changes" ("point", "at_ms", "revision");
CREATE INDEX "rollout_runs_state" ON "rollout_runs" ("state");
CREATE INDEX "changes_point_state" ON "changes" ("point", "state");
CREATE INDEX "settings_changes_point_at_ms_revision" ON "settings_changes" ("point", "at_ms", "revision");
CREATE INDEX "outcomes_decision_id" ON "outcomes" ("decision_id");
CREATE INDEX "guarantees_point" ON "guarantees" ("point");
CREATE INDEX "alarms_point" ON "alarms" ("point");
CREATE INDEX "facts_view_number_entity_id" ON "facts" ("view", "number", "entity", "id");
CREATE INDEX "feature_values_view_number_entity_event_at_ms" ON "feature_values" ("view", "number", "entity", "event_at_ms");
CREATE INDEX "jobs_state" ON "jobs" ("state");
CREATE INDEX "ledger_entries_subject_id" ON "ledger_entries" ("subject_id");
