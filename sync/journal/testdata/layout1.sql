CREATE TABLE cwvault_meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
CREATE TABLE cwvault_lease (
	id      BIGINT PRIMARY KEY CHECK (id = 1),
	fence   BIGINT NOT NULL, -- grows with each holder
	host    TEXT NOT NULL,
	pid     BIGINT NOT NULL,
	start   BIGINT NOT NULL,
	boot    TEXT NOT NULL,
	space   TEXT NOT NULL,
	since   BIGINT NOT NULL,
	expires BIGINT NOT NULL, -- 0 when nobody holds it
	uptime  BIGINT NOT NULL  -- the same on the machine's uptime clock, 0 when it was not to be had
);
INSERT INTO cwvault_lease VALUES (1, 0, '', 0, 0, '', '', 0, 0, 0);
CREATE TABLE cwvault_plan (
	hash TEXT PRIMARY KEY,
	body BYTES NOT NULL -- gzip
);
CREATE TABLE cwvault_run (
	id        BIGINT PRIMARY KEY,
	cause     TEXT NOT NULL,
	plan_id   TEXT NOT NULL,
	plan      TEXT REFERENCES cwvault_plan (hash),
	tenant    TEXT NOT NULL,
	vault     TEXT NOT NULL,
	root      TEXT NOT NULL,
	started   BIGINT NOT NULL,
	finished  BIGINT NOT NULL,
	outcome   TEXT NOT NULL, -- '' while it runs
	good      BIGINT NOT NULL,
	companies BIGINT NOT NULL,
	counts    TEXT NOT NULL,
	error     TEXT NOT NULL
);
CREATE TABLE cwvault_step (
	run       BIGINT NOT NULL REFERENCES cwvault_run (id) ON DELETE CASCADE,
	seq       BIGINT NOT NULL,
	op        TEXT NOT NULL,
	key       TEXT NOT NULL,
	folder_id TEXT NOT NULL,
	parent_id TEXT NOT NULL,
	name      TEXT NOT NULL,
	from_path TEXT NOT NULL,
	to_path   TEXT NOT NULL,
	status    TEXT NOT NULL, -- '' between intent and result
	error     TEXT NOT NULL,
	began     BIGINT NOT NULL,
	ended     BIGINT NOT NULL,
	PRIMARY KEY (run, seq)
);
CREATE INDEX cwvault_step_open ON cwvault_step (run) WHERE status = '';
CREATE TABLE cwvault_place (
	key        TEXT PRIMARY KEY,
	folder_id  TEXT NOT NULL,
	parent_key TEXT NOT NULL,
	name       TEXT NOT NULL,
	path       TEXT NOT NULL,
	gone       BIGINT NOT NULL
);
CREATE TABLE cwvault_used (
	plan_id TEXT PRIMARY KEY,
	at      BIGINT NOT NULL
);
CREATE TABLE cwvault_pause (
	key    TEXT PRIMARY KEY,
	reason TEXT NOT NULL,
	since  BIGINT NOT NULL
);
CREATE TABLE cwvault_failure (
	key   TEXT PRIMARY KEY,
	count BIGINT NOT NULL,
	first BIGINT NOT NULL,
	last  BIGINT NOT NULL,
	next  BIGINT NOT NULL,
	error TEXT NOT NULL
);
CREATE TABLE cwvault_want (
	key   TEXT PRIMARY KEY,
	place TEXT NOT NULL,
	since BIGINT NOT NULL
);

-- What cwvault wrote with that layout.
INSERT INTO cwvault_meta VALUES ('layout', '1');
INSERT INTO cwvault_meta VALUES ('fingerprint',
	'{"Tenant":"acmeinc","Vault":"https://vault.example.com","Root":"\\Clients","RootID":"7","Layout":"abc"}');
UPDATE cwvault_lease SET fence = 17, host = 'h', pid = 4711, start = 1, boot = 'b', space = 's', since = 1772366400000, expires = 0;
INSERT INTO cwvault_plan VALUES ('4430e7786edc0f8419f02e909c15422ebf572287a58132d8f6f33250ce053121',
	HEX(1f8b08000000000004ff000c00f3ff7b227374657073223a5b5d7d010000ffff32f3c6dc0c000000));
INSERT INTO cwvault_run VALUES (41, 'schedule', 'beef', '4430e7786edc0f8419f02e909c15422ebf572287a58132d8f6f33250ce053121',
	'acmeinc', 'https://vault.example.com', '\Clients', 1772366400000, 1772366460000, 'done', 1, 812, '{"create":1}', '');
INSERT INTO cwvault_run VALUES (42, 'resync', '', NULL, 'acmeinc', 'https://vault.example.com', '\Clients', 1772366400000, 0, '', 0, 0, '', '');
INSERT INTO cwvault_step VALUES (41, 0, 'create', 'company/250', '21', '7', 'Alovet', '', '\Clients\Alovet', 'done', '', 1772366400000, 1772366400000);
INSERT INTO cwvault_step VALUES (42, 3, 'create', 'company/9', '', '37ff', 'Nine', '', '\Clients\Nine', '', '', 1772366400000, 0);
INSERT INTO cwvault_place VALUES ('company/250', '21', 'group/type:1', 'Alovet', '\Clients\Alovet', 1772366400000);
INSERT INTO cwvault_used VALUES ('beef', 1772366400000);
INSERT INTO cwvault_pause VALUES ('company/250', 'contract', 1772366400000);
INSERT INTO cwvault_failure VALUES ('company/3', 2, 1772366400000, 1772366400000, 1772370000000, 'no');
INSERT INTO cwvault_want VALUES ('company/4', 'x', 1772366400000);
