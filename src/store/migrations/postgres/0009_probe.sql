-- What is written to see whether the store can be written. In its row and not compressed: it needs room of its own.
CREATE TABLE probe (
    "only"  BIGINT PRIMARY KEY CHECK ("only" = 1),
    content BYTEA  NOT NULL
);
ALTER TABLE probe ALTER COLUMN content SET STORAGE PLAIN;
INSERT INTO probe ("only", content) VALUES (1, '');
