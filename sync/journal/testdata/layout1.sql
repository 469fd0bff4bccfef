-- What cwvault wrote with layout 1. HEX(...) stands for bytes.
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
