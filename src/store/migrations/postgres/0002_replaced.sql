-- A session that signed in again under another token stays good for some seconds, for what its browser had sent
-- before it was given the new one. A gateway of the version before ends it at once.
ALTER TABLE sessions ADD COLUMN good_until  BIGINT;   -- of one that was replaced
ALTER TABLE sessions ADD COLUMN replaced_by BYTEA;    -- the token of the session that took its place
CREATE INDEX sessions_replaced ON sessions (replaced_by) WHERE replaced_by IS NOT NULL;
ALTER TABLE feed ADD COLUMN good_until BIGINT;        -- the session has been replaced, and ends then
