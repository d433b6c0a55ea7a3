-- The other engine has the same table: a test compares them.
-- Which gateway holds which vendor account. Times are those of this server's clock. A row stays when its lease ends: its epoch grows for ever.
CREATE TABLE leases (
    account TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    -- Whether the holder gave it back, and the calls that the vendor counted then.
    released INTEGER NOT NULL,
    calls TEXT NOT NULL,
    -- The same of the holder before, and when its lease ended; -1 where there was none.
    previous_end INTEGER NOT NULL,
    previous_released INTEGER NOT NULL,
    previous_calls TEXT NOT NULL
);
