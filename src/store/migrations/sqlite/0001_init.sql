-- Times are milliseconds since 1970. Whatever could open something is a hash or sealed.

CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    name       TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    email      TEXT,
    disabled   INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 1,
    password   TEXT,                              -- Argon2id, PHC string
    created    INTEGER NOT NULL
);

CREATE TABLE totp_factors (
    user_id   INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret    BLOB    NOT NULL,                   -- sealed under the master key
    last_step INTEGER NOT NULL                    -- a step counts once: only a later one is taken
);

CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BLOB    NOT NULL,                     -- SHA-256 of 80 random bits
    PRIMARY KEY (user_id, hash)
) WITHOUT ROWID;

CREATE TABLE setup_links (
    hash    BLOB    PRIMARY KEY,                  -- SHA-256 of 256 random bits
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
    token         BLOB    PRIMARY KEY,            -- SHA-256 of the token
    id            TEXT    NOT NULL UNIQUE,
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation    INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    device        TEXT    NOT NULL,
    second_factor TEXT
);
CREATE INDEX sessions_by_user ON sessions (user_id, created);

CREATE TABLE tokens (
    name    TEXT    PRIMARY KEY,
    hash    BLOB    NOT NULL UNIQUE,              -- SHA-256 of 256 random bits
    scopes  TEXT    NOT NULL,                     -- separated by blanks
    expires INTEGER,
    created INTEGER NOT NULL
);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT,
    detail  TEXT    NOT NULL
);

CREATE TABLE seal_check (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    value BLOB    NOT NULL                        -- tells a wrong master key at start
);
