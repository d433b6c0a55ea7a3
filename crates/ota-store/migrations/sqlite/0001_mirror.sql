-- The tables of the mirror. The other engine has the same ones: a test compares them.
-- Times are milliseconds since 1970, booleans 0 and 1. -1 and the empty text stand for a value that is not there.

-- What is known of each provider, also of those that are no longer configured.
CREATE TABLE providers (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    vendor TEXT NOT NULL,
    since INTEGER NOT NULL,
    first_pass_at INTEGER NOT NULL,
    full_pass_at INTEGER NOT NULL,
    problem TEXT NOT NULL,
    problem_at INTEGER NOT NULL,
    progress_at INTEGER NOT NULL,
    doubted_at INTEGER NOT NULL,
    writes INTEGER NOT NULL,
    UNIQUE (name)
);

-- Jobs. -1 and the empty text stand for a value that is not there.
CREATE TABLE jobs (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL,
    id TEXT NOT NULL,
    gone INTEGER NOT NULL,
    vanished_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    package_id TEXT NOT NULL,
    package_name TEXT NOT NULL,
    package_version TEXT NOT NULL,
    package TEXT NOT NULL,
    product_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    search TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    truncated INTEGER NOT NULL,
    tasks_truncated INTEGER NOT NULL,
    seen_pass INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    doubted_at INTEGER NOT NULL,
    vendor_counts TEXT NOT NULL,
    counts_at INTEGER NOT NULL,
    tasks_as_of INTEGER NOT NULL,
    tasks_at INTEGER NOT NULL,
    tasks_changed_at INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    in_progress INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    canceled INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    timed_out INTEGER NOT NULL,
    shown_counts TEXT NOT NULL,
    shown_failed INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (source, id)
);

-- Tasks.
CREATE TABLE tasks (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL,
    source INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    status INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    failure INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    vanished_at INTEGER NOT NULL,
    seen_pass INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    device_name TEXT NOT NULL,
    product_id TEXT NOT NULL,
    from_version TEXT NOT NULL,
    to_version TEXT NOT NULL,
    search TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (job, id)
);

-- How many tasks of a job have the same values.
CREATE TABLE task_counts (
    job INTEGER NOT NULL,
    source INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    status INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    failure INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    from_version TEXT NOT NULL,
    to_version TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (job, gone, status, stage, failure, product_id, from_version, to_version)
) WITHOUT ROWID;

-- The same for all jobs of a provider.
CREATE TABLE task_totals (
    source INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    status INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    failure INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    from_version TEXT NOT NULL,
    to_version TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (source, gone, status, stage, failure, product_id, from_version, to_version)
) WITHOUT ROWID;

-- The counts of a job as they changed.
CREATE TABLE history (
    job INTEGER NOT NULL,
    at INTEGER NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (job, at)
) WITHOUT ROWID;

-- Passes that have begun and not ended; job 0 is the pass over all jobs.
CREATE TABLE passes (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL,
    job INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    has_cursor INTEGER NOT NULL,
    position TEXT NOT NULL,
    seen INTEGER NOT NULL,
    first_total INTEGER NOT NULL,
    last_total INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    at_end INTEGER NOT NULL,
    UNIQUE (source, job)
);

-- When calls of an account were sent.
CREATE TABLE calls (
    account TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (account, sent_at)
) WITHOUT ROWID;

-- One index for each pair of a filter and an order. `pk`, which breaks ties, is at the end of each: SQLite puts it there by itself.
CREATE INDEX jobs_created ON jobs (source, gone, created_at);
CREATE INDEX jobs_changed ON jobs (source, gone, changed_at);
CREATE INDEX jobs_failed ON jobs (source, gone, shown_failed);
CREATE INDEX jobs_due ON jobs (source, gone, due_at);
CREATE INDEX tasks_changed ON tasks (source, gone, changed_at);
CREATE INDEX tasks_status_changed ON tasks (source, gone, status, changed_at);
CREATE INDEX tasks_job_changed ON tasks (job, gone, status, changed_at);
CREATE INDEX tasks_product_changed ON tasks (source, gone, product_id, changed_at);
CREATE INDEX tasks_from_changed ON tasks (source, gone, from_version, changed_at);
CREATE INDEX tasks_to_changed ON tasks (source, gone, to_version, changed_at);
CREATE INDEX tasks_stage_changed ON tasks (source, gone, stage, changed_at) WHERE stage > 0;
CREATE INDEX tasks_failure_changed ON tasks (source, gone, failure, changed_at) WHERE failure > 0;
CREATE INDEX tasks_created ON tasks (source, gone, created_at);
CREATE INDEX tasks_status_created ON tasks (source, gone, status, created_at);
CREATE INDEX tasks_job_created ON tasks (job, gone, status, created_at);
CREATE INDEX tasks_product_created ON tasks (source, gone, product_id, created_at);
CREATE INDEX tasks_from_created ON tasks (source, gone, from_version, created_at);
CREATE INDEX tasks_to_created ON tasks (source, gone, to_version, created_at);
CREATE INDEX tasks_stage_created ON tasks (source, gone, stage, created_at) WHERE stage > 0;
CREATE INDEX tasks_failure_created ON tasks (source, gone, failure, created_at) WHERE failure > 0;
CREATE INDEX tasks_device_name ON tasks (source, gone, device_name);
CREATE INDEX tasks_device_id ON tasks (source, device_id);
-- Holds what groups by job read, so that no counter is looked up by itself.
CREATE INDEX counts_source ON task_counts (source, gone, job, status, stage, failure, number);

-- Parts of three characters of names, identifiers and messages. It holds no text: `tasks.search` does.
CREATE VIRTUAL TABLE task_search USING fts5 (
    body, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);
