-- A session that signed in again under another token stays good for some seconds, for what its browser had sent
-- before it was given the new one.
ALTER TABLE sessions ADD COLUMN good_until  INTEGER;  -- of one that was replaced
ALTER TABLE sessions ADD COLUMN replaced_by BLOB;     -- the token of the session that took its place
CREATE INDEX sessions_replaced ON sessions (replaced_by) WHERE replaced_by IS NOT NULL;
