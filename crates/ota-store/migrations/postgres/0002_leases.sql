-- The other engine has the same table: a test compares them.
-- Which gateway holds which vendor account. Times are those of this server's clock. A row stays when its lease ends: its epoch grows for ever.
CREATE TABLE leases (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    -- Whether the holder gave it back, and the calls that the vendor counted then.
    released BIGINT NOT NULL,
    calls TEXT COLLATE "C" NOT NULL,
    -- The same of the holder before, and when its lease ended; -1 where there was none.
    previous_end BIGINT NOT NULL,
    previous_released BIGINT NOT NULL,
    previous_calls TEXT COLLATE "C" NOT NULL
);
