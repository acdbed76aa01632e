-- Guesses at a password are counted by the name, whether a user has it or not. A gateway of the version before
-- counts those of users apart; what it has counted is brought over at the next start of a newer one.
ALTER TABLE guesses ADD COLUMN locked BOOLEAN NOT NULL DEFAULT FALSE; -- too many in a row
ALTER TABLE users ADD COLUMN guess_key TEXT;                          -- by which guesses at the password are counted
CREATE INDEX users_by_guess_key ON users (guess_key);
