-- The passwords before the current one, so that they are not taken again.
CREATE TABLE past_passwords (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password TEXT    NOT NULL                     -- Argon2id, PHC string
);
CREATE INDEX past_passwords_by_user ON past_passwords (user_id, seq);
