-- The number of the request that did it, which is in the access log too; NULL for what no request did.
ALTER TABLE audit ADD COLUMN request TEXT;
