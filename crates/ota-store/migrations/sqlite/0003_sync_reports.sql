-- The other engine has the same table: a test compares them.
-- What the gateway that holds the account of a provider reports of its sync to the other gateways, and what they ask of it.
CREATE TABLE sync_reports (
    provider TEXT NOT NULL PRIMARY KEY,
    -- When a full pass was asked for and when the report was written, by the clock of this machine; -1 for neither.
    requested_at INTEGER NOT NULL,
    reported_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    phase TEXT NOT NULL,
    as_of INTEGER NOT NULL,
    lag_s INTEGER NOT NULL,
    problem TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    jobs_seen INTEGER NOT NULL,
    tasks_seen INTEGER NOT NULL,
    tasks_total INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    eta_s INTEGER NOT NULL,
    last_full_pass_at INTEGER NOT NULL
);
