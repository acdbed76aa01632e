-- A link is dead once its user's generation has moved on. Those that are there hang on today's.
ALTER TABLE setup_links ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
UPDATE setup_links SET generation = (SELECT generation FROM users WHERE id = user_id);

ALTER TABLE tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';      -- separated by blanks; empty: from anywhere
ALTER TABLE tokens ADD COLUMN last_used INTEGER;                      -- to some minutes
ALTER TABLE tokens ADD COLUMN former_hash BLOB;                       -- before the last rotation
ALTER TABLE tokens ADD COLUMN former_ends INTEGER;
ALTER TABLE tokens ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;   -- that it is about to end
CREATE INDEX tokens_by_former_hash ON tokens (former_hash);

-- Why sessions have ended that no one ended, for the browsers that had them. The latest only.
CREATE TABLE ended_sessions (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    token  BLOB    NOT NULL,                      -- SHA-256 of the token, which opens nothing
    reason TEXT    NOT NULL
);
CREATE INDEX ended_sessions_by_token ON ended_sessions (token);
