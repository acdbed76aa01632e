-- What is written to see whether the store can be written.
CREATE TABLE probe (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    content BLOB    NOT NULL
);
INSERT INTO probe (only, content) VALUES (1, x'');
