-- How SQLite keeps the visits in the benchmarks, in C and in Python. Each statement stands between two lines that begin with two dashes and
-- a name; the settings and the schema are run once, and the others prepared once. An add is one transaction: the statement and its trigger.

-- settings
PRAGMA locking_mode = EXCLUSIVE; -- one process: no lock calls, no shared memory
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;     -- FULL where an add must be durable
PRAGMA cache_size = -131072;     -- 128 MiB
PRAGMA wal_autocheckpoint = 10000;
PRAGMA temp_store = MEMORY;

-- schema
CREATE TABLE IF NOT EXISTS visits (user INTEGER, time INTEGER, visit_id INTEGER, url BLOB, text BLOB,
  PRIMARY KEY (user, time, visit_id)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS keep_newest AFTER INSERT ON visits BEGIN
  DELETE FROM visits WHERE user = NEW.user AND time <
    (SELECT time FROM visits WHERE user = NEW.user ORDER BY time DESC LIMIT 1 OFFSET 9);
END;

-- add
INSERT INTO visits SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM visits WHERE user = ?1 AND visit_id = ?3);

-- get
SELECT time, visit_id, url, text FROM visits WHERE user = ?1 ORDER BY time DESC;

-- delete 3
DELETE FROM visits WHERE user = ?1 AND visit_id IN (?2, ?3, ?4);

-- scan
SELECT user, time, visit_id, url, text FROM visits;
