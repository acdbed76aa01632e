-- When a session ended, so that the page that tells of it can say so and the row can be forgotten in time.
ALTER TABLE ended_sessions ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ended_sessions_by_time ON ended_sessions (at);
