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

-- Each combination of values that tasks of a provider are filtered and counted by, and how many tasks have it.
CREATE TABLE task_combinations (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL,
    status INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    failure INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    from_version TEXT NOT NULL,
    to_version TEXT NOT NULL,
    present INTEGER NOT NULL,
    vanished INTEGER NOT NULL,
    UNIQUE (source, status, stage, failure, product_id, from_version, to_version)
);

-- Tasks. The status stands in the combination too; here it leads the indexes.
CREATE TABLE tasks (
    pk INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    source INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    status INTEGER NOT NULL,
    combination INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    vanished_at INTEGER NOT NULL,
    seen_pass INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    device_name TEXT NOT NULL,
    search TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (job, id)
);

-- How many tasks of a job have each combination.
CREATE TABLE task_counts (
    source INTEGER NOT NULL,
    job INTEGER NOT NULL,
    combination INTEGER NOT NULL,
    present INTEGER NOT NULL,
    vanished INTEGER NOT NULL,
    PRIMARY KEY (source, job, combination)
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

-- Each order of tasks has an index by combination, for filters that few rows match, and one of all rows that holds the combination, so that rows that do not match
-- are passed over without being read. Open tasks (pending, in progress) are few among many, and have one of their own. `pk` breaks ties; where it is not named, SQLite puts it at the end.
CREATE INDEX jobs_created ON jobs (source, gone, created_at);
CREATE INDEX jobs_changed ON jobs (source, gone, changed_at);
CREATE INDEX jobs_failed ON jobs (source, gone, shown_failed);
CREATE INDEX jobs_due ON jobs (source, gone, due_at);
CREATE INDEX tasks_combination_changed ON tasks (combination, gone, changed_at);
CREATE INDEX tasks_combination_created ON tasks (combination, gone, created_at);
CREATE INDEX tasks_combination_name ON tasks (combination, gone, device_name);
CREATE INDEX tasks_changed ON tasks (source, gone, changed_at, pk, combination);
CREATE INDEX tasks_created ON tasks (source, gone, created_at, pk, combination);
CREATE INDEX tasks_open ON tasks (source, gone, status, changed_at, pk, combination) WHERE status < 3;
CREATE INDEX tasks_job_changed ON tasks (job, gone, status, changed_at);
CREATE INDEX tasks_job_created ON tasks (job, gone, status, created_at);
CREATE INDEX tasks_name ON tasks (source, gone, device_name, pk, combination);
CREATE INDEX tasks_device_id ON tasks (source, device_id);

-- Parts of three characters of names, identifiers and messages. It holds no text: `tasks.search` does.
CREATE VIRTUAL TABLE task_search USING fts5 (
    body, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);
