-- The tables of SQLite, and below them what several gateways over one store need.
-- Times are milliseconds since 1970. Whatever could open something is a hash or sealed.

CREATE TABLE users (
    id         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never given twice
    name       TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    email      TEXT,
    disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    generation BIGINT  NOT NULL DEFAULT 1,
    password   TEXT,                              -- Argon2id, PHC string
    created    BIGINT  NOT NULL
);

CREATE TABLE totp_factors (
    user_id   BIGINT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret    BYTEA  NOT NULL,                    -- sealed under the master key
    last_step BIGINT NOT NULL                     -- a step counts once: only a later one is taken
);

CREATE TABLE recovery_codes (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BYTEA  NOT NULL,                      -- SHA-256 of 80 random bits
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE setup_links (
    hash    BYTEA  PRIMARY KEY,                   -- SHA-256 of 256 random bits
    user_id BIGINT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    expires BIGINT NOT NULL
);

CREATE TABLE sessions (
    token         BYTEA  PRIMARY KEY,             -- SHA-256 of the token
    id            TEXT   NOT NULL UNIQUE,
    user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation    BIGINT NOT NULL,
    created       BIGINT NOT NULL,
    last_seen     BIGINT NOT NULL,
    address       TEXT   NOT NULL,
    device        TEXT   NOT NULL,
    second_factor TEXT
) WITH (fillfactor = 80);                         -- room for last_seen beside the row it replaces
CREATE INDEX sessions_by_user ON sessions (user_id, created);
CREATE INDEX sessions_by_age ON sessions (created);

CREATE TABLE tokens (
    name    TEXT   PRIMARY KEY,
    hash    BYTEA  NOT NULL UNIQUE,               -- SHA-256 of 256 random bits
    scopes  TEXT   NOT NULL,                      -- separated by blanks
    expires BIGINT,
    created BIGINT NOT NULL
);

CREATE TABLE audit (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT,
    detail  TEXT   NOT NULL
);

CREATE TABLE seal_check (
    "only" BIGINT PRIMARY KEY CHECK ("only" = 1),
    value  BYTEA  NOT NULL                        -- tells a wrong master key at start
);

CREATE TABLE past_passwords (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id  BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password TEXT   NOT NULL                      -- Argon2id, PHC string
);
CREATE INDEX past_passwords_by_user ON past_passwords (user_id, seq);

CREATE TABLE failures (
    user_id     BIGINT  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    guess       TEXT    NOT NULL,                 -- password, code
    failed      BIGINT  NOT NULL,                 -- in the window
    window_ends BIGINT  NOT NULL,
    in_a_row    BIGINT  NOT NULL,                 -- since the last whole sign-in
    locked      BOOLEAN NOT NULL,                 -- too many in a row
    PRIMARY KEY (user_id, guess)
);

CREATE TABLE sign_ins (
    cookie     BYTEA  PRIMARY KEY,                -- SHA-256 of 256 random bits
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,                   -- the user's, when the password was checked
    secret     BYTEA,                             -- of the app that is to be enrolled; sealed
    ends       BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, ends);

-- Failed guesses that are counted by something else than a user: names of nobody, sessions, addresses.
CREATE TABLE guesses (
    key         TEXT   PRIMARY KEY,
    failed      BIGINT NOT NULL,
    window_ends BIGINT NOT NULL,
    in_a_row    BIGINT NOT NULL
);
CREATE INDEX guesses_by_end ON guesses (window_ends);

-- What was ended, in the order in which it was committed: numbers without gaps.
CREATE TABLE feed (
    seq        BIGINT PRIMARY KEY,
    tag        BIGINT NOT NULL,                   -- random: tells it from another of this number
    at         BIGINT NOT NULL,
    user_id    BIGINT,                            -- the sessions of this user, below the generation
    generation BIGINT,
    token      BYTEA                              -- or one session; neither: everybody's
);

CREATE TABLE head (
    "only"  BIGINT PRIMARY KEY CHECK ("only" = 1),
    seq     BIGINT NOT NULL,                      -- the last number of the feed
    origin  TEXT   NOT NULL,                      -- the database in which the feed is kept
    readers BIGINT NOT NULL                       -- the oldest version that can work with these tables
);
INSERT INTO head ("only", seq, origin, readers) VALUES (1, 0, '', 1);

-- Who may serve. Nobody goes by the time here: it is for people who look.
CREATE TABLE nodes (
    id      TEXT   PRIMARY KEY,
    name    TEXT   NOT NULL,
    version TEXT   NOT NULL,
    started BIGINT NOT NULL,
    seen    BIGINT NOT NULL,
    beat    BIGINT NOT NULL,                      -- raised with every renewal of the lease
    applied BIGINT NOT NULL,                      -- the number of the feed that it has applied
    lease   BIGINT NOT NULL                       -- in milliseconds
) WITH (fillfactor = 50);

-- How many connections a node has closed for an entry of the feed.
CREATE TABLE closings (
    seq    BIGINT NOT NULL,
    node   TEXT   NOT NULL,
    closed BIGINT NOT NULL,
    PRIMARY KEY (seq, node)
);
