-- Failed guesses that are counted by something else than a user: names, whether a user has them or not,
-- and devices that signed in before.
CREATE TABLE guesses (
    key         TEXT    PRIMARY KEY,
    failed      INTEGER NOT NULL,          -- in the window
    window_ends INTEGER NOT NULL,
    in_a_row    INTEGER NOT NULL,          -- since the last whole sign-in
    locked      INTEGER NOT NULL DEFAULT 0 -- too many in a row
) WITHOUT ROWID;
ALTER TABLE users ADD COLUMN guess_key TEXT; -- by which guesses at the password are counted
CREATE INDEX users_by_guess_key ON users (guess_key);
