-- The other engine has the same table: a test compares them.
-- What the gateway that holds the account of a provider reports of its sync to the other gateways, and what they ask of it.
CREATE TABLE sync_reports (
    provider TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- When a full pass was asked for and when the report was written, by this server's clock; -1 for neither.
    requested_at BIGINT NOT NULL,
    reported_at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    as_of BIGINT NOT NULL,
    lag_s BIGINT NOT NULL,
    problem TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    jobs_seen BIGINT NOT NULL,
    tasks_seen BIGINT NOT NULL,
    tasks_total BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    eta_s BIGINT NOT NULL,
    last_full_pass_at BIGINT NOT NULL
);
