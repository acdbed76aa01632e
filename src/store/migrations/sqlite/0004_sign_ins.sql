-- Sign-ins that are under way: a right password was given, and nothing else yet.
CREATE TABLE sign_ins (
    cookie     BLOB    PRIMARY KEY,        -- SHA-256 of 256 random bits
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,           -- the user's, when the password was checked
    secret     BLOB,                       -- of the app that is to be enrolled; sealed
    ends       INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, ends);
