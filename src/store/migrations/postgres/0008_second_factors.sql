-- From which network a sign-in was begun: one that is to enrol an app goes on with the same secret there.
ALTER TABLE sign_ins ADD COLUMN network TEXT NOT NULL DEFAULT '';
-- The last step whose code was shown before its time, and told to be of another time: it is never taken.
ALTER TABLE totp_factors ADD COLUMN shown_early BIGINT NOT NULL DEFAULT 0;
