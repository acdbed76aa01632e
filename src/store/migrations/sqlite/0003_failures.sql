-- Failed sign-ins of a user, written behind by the throttle.
CREATE TABLE failures (
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    guess       TEXT    NOT NULL,          -- password, code
    failed      INTEGER NOT NULL,          -- in the window
    window_ends INTEGER NOT NULL,
    in_a_row    INTEGER NOT NULL,          -- since the last whole sign-in
    locked      INTEGER NOT NULL,          -- too many in a row
    PRIMARY KEY (user_id, guess)
) WITHOUT ROWID;
