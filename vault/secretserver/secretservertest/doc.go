// Package secretservertest simulates a Secret Server in this process: the folder side of
// Delinea (formerly Thycotic) Secret Server's REST API, with its rules, for tests, "cwvault
// demo" and cwsim. It keeps everything in memory and listens on loopback. It is written only
// from public facts and independently of any client.
//
//	s, err := secretservertest.New(secretservertest.Options{})
//	defer s.Close()
//	root := s.AddFolder(-1, "Clients")
//	s.Grant(root, secretservertest.DefaultUsername, "Owner", "List")
//	// sign in at s.URL() with DefaultUsername and DefaultPassword
//
// # What it simulates
//
//   - Sign-in by password, with domain and OTP; tokens that expire after a time or
//     a number of calls; refresh tokens that work once; the Platform's client
//     credentials and list of vaults.
//   - Folders: search, look-up, stub, get, create, PUT (rename and move), PATCH
//     (rename only), delete, audit, actions. Paths follow moves; ids stay.
//   - Rights: role permissions, and roles on folders through users and groups,
//     inherited until a folder has its own list. A folder that the account must not
//     see is not listed and answers like a missing one: 400 API_AccessDenied.
//   - Folder permissions, metadata with sections, fields and history, counting and
//     reading secrets, and the configuration of the built-in Folder Synchronization,
//     which never runs.
//   - The page around lists, the shapes of errors, IIS's limit on URLs, the
//     versions before metadata and before look-up by path.
//
// It does not simulate metadata of anything but folders, writing secrets, directory domains
// as objects, allowed templates, launchers, and approval workflows.
//
// # What it guesses
//
// On these points the public facts are silent or disagree. Each guess is the stricter or the
// likelier one. [Quirks] switches most of them:
//
//   - A list holds 1,000 records at most (MaxTake) and has the order of ids (Shuffled).
//   - A search that finds nothing is an empty page (EmptySearch404), and
//     parentFolderId=-1 means all folders (RootParent404).
//   - Optional fields that a PUT omits get the document's defaults, so inheritance is
//     turned on (KeepOmitted); an omitted parent stays the same.
//   - A folder that moves and stops inheriting keeps its permissions (CopyTarget).
//   - Sibling names are compared without case, width, Unicode form and trailing
//     spaces; names have 255 UTF-16 units (MaxName) and no backslash
//     (ForbiddenInNames).
//   - Only the codes API_AccessDenied and API_PermissionsAreInherited are facts.
//     All other refusals share one made-up code (NoValidationCode) and texts
//     that a client must not read.
//   - Metadata can be searched by field alone (NoFieldSearch), but not by type alone.
//   - A folder that is not empty cannot be deleted. Nor can a folder of the built-in
//     synchronization, but it can be renamed and moved (SyncLocks).
//   - Passwords are in whole secrets (HidePasswords); a create body may be
//     partial (FullBodyOnly); read-only mode refuses with 400 (ReadOnly).
//   - Wrong credentials answer 400 with an error text; a bad token answers 401.
//   - An inherited permission has the same id as in the list that it comes from.
package secretservertest
