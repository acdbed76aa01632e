-- Sealed values say which key they are sealed with, in a form that versions before this one can't open.
UPDATE head SET readers = 11;
