package secretservertest

import "net/http"

// routes are all calls that the simulator answers. Where a literal segment and
// a variable one compete, the literal one stands first.
var routes = []route{
	{method: http.MethodPost, pattern: "oauth2/token", handle: signIn, open: true},
	{method: http.MethodGet, pattern: "api/v1/healthcheck", handle: healthCheck, open: true},
	{method: http.MethodGet, pattern: "api/v1/version", handle: getVersion},
	{method: http.MethodGet, pattern: "api/v1/users/current", handle: currentUser},
	{method: http.MethodPost, pattern: "api/v1/oauth-expiration", handle: signOut},

	{method: http.MethodGet, pattern: "api/v1/folders", handle: searchFolders},
	{method: http.MethodPost, pattern: "api/v1/folders", handle: createFolder},
	{method: http.MethodGet, pattern: "api/v1/folders/lookup", handle: lookupFolders},
	{method: http.MethodGet, pattern: "api/v1/folders/stub", handle: folderStub},
	{method: http.MethodGet, pattern: "api/v1/folders/{id}", handle: getFolder},
	{method: http.MethodPut, pattern: "api/v1/folders/{id}", handle: putFolder},
	{method: http.MethodDelete, pattern: "api/v1/folders/{id}", handle: deleteFolder},
	{method: http.MethodGet, pattern: "api/v1/folders/{id}/audit", handle: folderAudit},
	{method: http.MethodPatch, pattern: "api/v1/folder/{id}", handle: patchFolder},
	{method: http.MethodPatch, pattern: "api/v1/folder/{id}/permissions", handle: patchPermissions},
	{method: http.MethodGet, pattern: "api/v1/folder-details/{id}", handle: folderDetails},

	{method: http.MethodGet, pattern: "api/v1/folder-permissions", handle: searchPermissions},
	{method: http.MethodPost, pattern: "api/v1/folder-permissions", handle: createPermission},
	{method: http.MethodGet, pattern: "api/v1/folder-permissions/stub", handle: permissionStub},
	{method: http.MethodGet, pattern: "api/v1/folder-permissions/{id}", handle: getPermission},
	{method: http.MethodPut, pattern: "api/v1/folder-permissions/{id}", handle: updatePermission},
	{method: http.MethodDelete, pattern: "api/v1/folder-permissions/{id}", handle: deletePermission},

	{method: http.MethodGet, pattern: "api/v1/metadata", handle: searchMetadata, since: metadataSince},
	{method: http.MethodGet, pattern: "api/v1/metadata/fields", handle: metadataFields, since: metadataSince},
	{method: http.MethodGet, pattern: "api/v1/metadata/field-sections", handle: metadataSections, since: metadataSince},
	{method: http.MethodPatch, pattern: "api/v1/metadata/field-sections/{fieldSectionId}", handle: patchSection, since: metadataSince},
	{method: http.MethodGet, pattern: "api/v1/metadata/history", handle: metadataHistory, since: metadataSince},
	{method: http.MethodPost, pattern: "api/v1/metadata/{itemType}/{itemId}", handle: createMetadata, since: metadataSince},
	{method: http.MethodPatch, pattern: "api/v1/metadata/{itemType}/{itemId}", handle: patchMetadata, since: metadataSince},
	{method: http.MethodDelete, pattern: "api/v1/metadata/{itemType}/{itemId}/{metadataItemDataId}", handle: deleteMetadata, since: metadataSince},

	{method: http.MethodGet, pattern: "api/v1/secrets", handle: searchSecrets},
	{method: http.MethodGet, pattern: "api/v1/secrets/{id}", handle: getSecret},
	{method: http.MethodGet, pattern: "api/v1/secrets/{id}/fields/{slug}", handle: getSecretField},
	{method: http.MethodGet, pattern: "api/v2/secrets", handle: searchSecrets},
	{method: http.MethodGet, pattern: "api/v2/secrets/search-total", handle: secretTotal},
	{method: http.MethodGet, pattern: "api/v2/secrets/{id}", handle: getSecret},

	{method: http.MethodGet, pattern: "api/v1/configuration/folder-synchronization", handle: getFolderSync},
	{method: http.MethodPatch, pattern: "api/v1/configuration/folder-synchronization", handle: patchFolderSync},
}
