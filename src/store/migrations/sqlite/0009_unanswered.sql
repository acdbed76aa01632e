-- Acts that are done, and whose callers may not know it yet: they may ask for the same again. A row is gone once
-- its caller was told, and after an hour.
CREATE TABLE unanswered (
    act     BLOB PRIMARY KEY,                    -- SHA-256 of who did what, in so many words
    at      INTEGER NOT NULL,
    subject TEXT,                                 -- the user whom it was about
    made    BLOB                                 -- SHA-256 of the secret that it made, as where that is kept
);
