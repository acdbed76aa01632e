-- Numbers of the audit list without gaps. An identity that a rolled-back change had used was lost, and looked
-- like an entry that someone had deleted. The number is taken from the row of the head in the change itself, and
-- given back with it. A gateway of the version before takes it by the same default. Entries that are there keep
-- their numbers, since programs go on from them.
SELECT pg_advisory_xact_lock(8094321764021);          -- no change is under way
ALTER TABLE head ADD COLUMN audit BIGINT NOT NULL DEFAULT 0; -- the last number of the audit list
UPDATE head SET audit = (SELECT coalesce(max(seq), 0) FROM audit);
CREATE FUNCTION next_audit_number() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS 'UPDATE head SET audit = audit + 1 RETURNING audit';
ALTER TABLE audit ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE audit ALTER COLUMN seq SET DEFAULT next_audit_number();
