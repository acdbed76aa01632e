-- A link is dead once its user's generation has moved on. Those that are there hang on today's. One that
-- a gateway of the version before makes is of no generation and opens nothing here.
ALTER TABLE setup_links ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
UPDATE setup_links SET generation = (SELECT generation FROM users WHERE id = user_id);

ALTER TABLE tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';      -- separated by blanks; empty: from anywhere
ALTER TABLE tokens ADD COLUMN last_used BIGINT;                       -- to some minutes
ALTER TABLE tokens ADD COLUMN former_hash BYTEA;                      -- before the last rotation
ALTER TABLE tokens ADD COLUMN former_ends BIGINT;
ALTER TABLE tokens ADD COLUMN announced BOOLEAN NOT NULL DEFAULT FALSE; -- that it is about to end
CREATE INDEX tokens_by_former_hash ON tokens (former_hash);

-- Why sessions have ended that no one ended, for the browsers that had them. The latest only.
CREATE TABLE ended_sessions (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token  BYTEA  NOT NULL,                       -- SHA-256 of the token, which opens nothing
    reason TEXT   NOT NULL
);
CREATE INDEX ended_sessions_by_token ON ended_sessions (token);
