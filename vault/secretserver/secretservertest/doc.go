// Package secretservertest is a Secret Server in one process: the folder side
// of Delinea (formerly Thycotic) Secret Server's REST API, with its rules, for
// tests and for cwvault's demo. It keeps everything in memory, listens on
// loopback, and is written from public facts alone, without a look at any client.
//
//	s, err := secretservertest.New(secretservertest.Options{})
//	defer s.Close()
//	root := s.AddFolder(-1, "Clients")
//	s.Grant(root, secretservertest.DefaultUsername, "Owner", "List")
//	// sign in at s.URL() with DefaultUsername and DefaultPassword
//
// # What is kept
//
//   - Sign-in by password, with domain and OTP; tokens that end by time or after
//     so many calls; refresh tokens that work once; the Platform's client
//     credentials and list of vaults.
//   - Folders: search, look-up, stub, get, create, PUT (rename and move), PATCH
//     (rename only), delete, audit, actions. Paths follow moves; ids stay.
//   - Rights: role permissions, and roles on folders through users and groups,
//     inherited until a folder has its own list. What may not be seen is not
//     listed and answers like what is not there: 400 API_AccessDenied.
//   - Folder permissions, metadata with sections, fields and history, secrets as
//     far as counting and reading them goes, and the configuration of the
//     built-in Folder Synchronization, which never runs.
//   - The page around lists, the shapes of errors, IIS's limit on URLs, the
//     versions before metadata and before look-up by path.
//
// Not kept: metadata of anything but folders, writing secrets, directory
// domains as objects, allowed templates, launchers, approval workflows.
//
// # Guesses
//
// On these points the public facts are silent or disagree. Each guess is the
// strict or the likelier one; most can be switched by [Quirks]:
//
//   - A list holds 1,000 records at most (MaxTake) and has the order of ids (Shuffled).
//   - A search that finds nothing is an empty page (EmptySearch404), and
//     parentFolderId=-1 means all folders (RootParent404).
//   - Optional fields that a PUT leaves out take the document's defaults, so
//     inheritance goes on (KeepOmitted); a parent left out stays what it is.
//   - A folder that moves and stops inheriting keeps what it had (CopyTarget).
//   - Sibling names are compared without case, width, Unicode form and trailing
//     spaces; names have 255 UTF-16 units (MaxName) and no backslash
//     (ForbiddenInNames).
//   - Only the codes API_AccessDenied and API_PermissionsAreInherited are facts.
//     All other refusals share one made-up code (NoValidationCode) and texts
//     that a client must not read.
//   - Metadata can be searched by field alone (NoFieldSearch), but not by type alone.
//   - A folder with anything in it cannot be deleted, nor one that the built-in
//     synchronization keeps; that one can be renamed and moved (SyncLocks).
//   - Passwords are in whole secrets (HidePasswords); a create body may be
//     partial (FullBodyOnly); read-only mode refuses with 400 (ReadOnly).
//   - Wrong credentials answer 400 with an error text; a bad token answers 401.
//   - An inherited permission is listed under the id that it has in the list
//     that it comes from.
package secretservertest
