package secretserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/vault"
)

func permissionJSON(id, folder, group int, name, folderRole, secretRole string) string {
	return fmt.Sprintf(`{"id":%d,"folderId":%d,"groupId":%d,"userId":null,"knownAs":%q,"folderAccessRoleName":%q,"secretAccessRoleName":%q}`,
		id, folder, group, name, folderRole, secretRole)
}

func TestSecretsCountsBelow(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": answer(200, "12")})
	if n, err := f.open().Secrets(t.Context(), "21"); n != 12 || err != nil {
		t.Errorf("Secrets = %d, %v", n, err)
	}
	want := []string{"GET /api/v2/secrets/search-total?filter.folderId=21&filter.includeRestricted=true&filter.includeSubFolders=true"}
	if diff := cmp.Diff(want, f.take()); diff != "" {
		t.Error(diff)
	}
}

func TestAudience(t *testing.T) {
	f := newFake(t, routes{
		"GET /v1/folder-permissions": func(w http.ResponseWriter, r *http.Request) {
			switch r.FormValue("filter.folderId") {
			case "21":
				pageOf(permissionJSON(1, 21, 7, `CORP\Ops`, "Owner", "Owner"), permissionJSON(2, 21, 8, "Helpdesk", "View", "View"),
					permissionJSON(3, 21, 9, "Billing", "View", "None"),
					`{"id":4,"folderId":21,"groupId":0,"groupName":"","userId":5,"userName":"jo","folderAccessRoleName":"Edit"}`,
					permissionJSON(5, 99, 8, "Strangers", "View", "View"))(w, r)
			case "12":
				pageOf(permissionJSON(1, 12, 8, "Helpdesk", "View", "View"))(w, r)
			default:
				pageOf()(w, r)
			}
		},
		"GET /v1/folders/30": answer(200, folderJSON(30, 31, `\Clients\a\b`, true)),
		"GET /v1/folders/31": answer(200, folderJSON(31, 12, `\Clients\a`, true)),
		"GET /v1/folders/40": answer(200, folderJSON(40, 12, `\Clients\c`, false)),
	})
	v := f.open()
	for id, want := range map[string][]string{
		"21": {"Billing (View, secrets: None)", `CORP\Ops (Owner)`, "Helpdesk (View)", "jo (Edit)"},
		"30": {"Helpdesk (View)"}, // shows none of its own, so its parents' parent's
		"40": {},
	} {
		got, err := v.Audience(t.Context(), id)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Audience(%s) = %q, %v, want %q", id, got, err, want)
		}
	}
	refused := newFake(t, routes{"GET /v1/folder-permissions": answer(404, ""), "GET /v1/folders/21": answer(200, folderJSON(21, 12, `\Clients\x`, false))})
	if got, err := refused.open().Audience(t.Context(), "21"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Audience = %q, %v; nobody is not the same as not known", got, err)
	}
}

// permissionServer has one folder that can move between two parents, and
// permissions as a server may keep them.
type permissionServer struct {
	folder   folderArgs
	own      string // who is on the folder itself, when it does not inherit
	puts     []string
	reset    bool           // a move gives the folder its new parent's permissions whatever is asked for
	drop     bool           // turning inheritance off drops the permissions
	failPUT  map[int]string // answers by number of PUT
	unsteady bool           // permissions cannot be read after the move
}

func (s *permissionServer) audience() string {
	if s.folder.InheritPermissions {
		return map[int]string{20: "Ops", 30: "Everybody"}[s.folder.ParentID]
	}
	return s.own
}

func (s *permissionServer) routes() routes {
	show := func(w http.ResponseWriter, _ *http.Request) {
		body, _ := json.Marshal(s.folder)
		reply(w, 200, string(body))
	}
	return routes{
		"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(200, noFields),
		"GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
			pageOf(folderJSON(20, 12, `\Clients\A`, false), folderJSON(30, 12, `\Clients\B`, false), folderJSON(21, 20, `\Clients\A\x`, s.folder.InheritPermissions))(w, r)
		},
		"GET /v1/folders/21": show, "GET /v1/folders/20": answer(200, folderJSON(20, 12, `\Clients\A`, false)), "GET /v1/folders/30": answer(200, folderJSON(30, 12, `\Clients\B`, false)),
		"GET /v1/folder-permissions": func(w http.ResponseWriter, r *http.Request) {
			if who := s.audience(); who == "" {
				pageOf()(w, r)
			} else if s.unsteady && s.folder.ParentID == 30 {
				reply(w, 400, denied)
			} else {
				pageOf(permissionJSON(1, 21, len(who), who, "View", "View"))(w, r)
			}
		},
		"PUT /v1/folders/21": func(w http.ResponseWriter, r *http.Request) {
			var args folderArgs
			body, _ := io.ReadAll(r.Body)
			if err := json.Unmarshal(body, &args); err != nil {
				reply(w, 400, `{"message":"not json"}`)
				return
			}
			s.puts = append(s.puts, fmt.Sprintf("%d/%s inherit=%t", args.ParentID, args.Name, args.InheritPermissions))
			if fail := s.failPUT[len(s.puts)]; fail != "" {
				reply(w, 400, fail)
				return
			}
			before := s.audience()
			if !args.InheritPermissions && s.folder.InheritPermissions {
				if s.own = before; s.drop {
					s.own = "Creator"
				}
			}
			moved := args.ParentID != s.folder.ParentID
			s.folder = args
			if moved && s.reset {
				s.own = map[int]string{20: "Ops", 30: "Everybody"}[args.ParentID]
			}
			show(w, r)
		},
	}
}

func TestPreserve(t *testing.T) {
	const off, moved, back = "20/x inherit=false", "30/y inherit=false", "20/x inherit=true"
	tests := map[string]struct {
		server   permissionServer
		parent   string
		name     string
		want     error
		puts     []string
		audience string
		calls    int // 0: not asserted
	}{
		"moves with its permissions":           {permissionServer{}, "30", "y", nil, []string{off, moved}, "Ops", 4},
		"a rename needs no care":               {permissionServer{}, "20", "y", nil, []string{"20/y inherit=true"}, "Ops", 1},
		"the server resets them":               {permissionServer{reset: true}, "30", "y", vault.ErrNotAllowed, []string{off, moved, back}, "Ops", 0},
		"the server drops them":                {permissionServer{drop: true}, "30", "y", vault.ErrNotAllowed, []string{off, moved, back}, "Ops", 0},
		"cannot be compared afterwards":        {permissionServer{unsteady: true}, "30", "y", vault.ErrNotFound, []string{off, moved, back}, "Ops", 0},
		"inheritance may not be turned off":    {permissionServer{failPUT: map[int]string{1: denied}}, "30", "y", vault.ErrNotAllowed, []string{off}, "Ops", 0},
		"the move fails":                       {permissionServer{failPUT: map[int]string{2: `{"message":"same name"}`}}, "30", "y", vault.ErrNameTaken, []string{off, moved, back}, "Ops", 0},
		"the move fails, and so does the undo": {permissionServer{failPUT: map[int]string{2: `{"message":"same name"}`, 3: denied}}, "30", "y", vault.ErrNameTaken, []string{off, moved, back}, "Ops", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &test.server
			s.folder = folderArgs{ID: 21, ParentID: 20, Name: "x", TypeID: 1, InheritPermissions: true, InheritSecretPolicy: true, SecretPolicyID: json.RawMessage("-1")}
			f := newFake(t, s.routes())
			v := f.open(func(c *Config) { c.Access = "preserve" })
			if _, err := v.Tree(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.take()
			_, err := v.Update(t.Context(), "21", test.parent, test.name)
			if !errors.Is(err, test.want) {
				t.Errorf("Update = %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(test.puts, s.puts); diff != "" {
				t.Errorf("PUTs (-want +got):\n%s", diff)
			}
			if got := s.audience(); got != test.audience {
				t.Errorf("seen by %s, want %s", got, test.audience)
			}
			if calls := f.take(); test.calls > 0 && len(calls) != test.calls {
				t.Errorf("%d calls, want %d: %q", len(calls), test.calls, calls)
			}
			if strings.Contains(name, "undo") && !strings.Contains(err.Error(), "check who can see it") {
				t.Errorf("Update = %v", err)
			}
		})
	}
	t.Run("the second move of a folder", func(t *testing.T) {
		s := &permissionServer{folder: folderArgs{ID: 21, ParentID: 20, Name: "x", TypeID: 1, InheritPermissions: true, SecretPolicyID: json.RawMessage("-1")}}
		f := newFake(t, s.routes())
		v := f.open(func(c *Config) { c.Access = "preserve" })
		for _, parent := range []string{"30", "20"} {
			f.take()
			if _, err := v.Update(t.Context(), "21", parent, "y"); err != nil {
				t.Fatal(err)
			}
		}
		if calls := f.take(); len(calls) != 1 || s.audience() != "Ops" {
			t.Errorf("calls %q, seen by %s", calls, s.audience())
		}
	})
	t.Run("permissions that cannot be read", func(t *testing.T) {
		f := newFake(t, routes{"GET /v1/folders/21": answer(200, folderJSON(21, 20, `\Clients\A\x`, true)), "GET /v1/folders/20": answer(200, folderJSON(20, 12, `\Clients\A`, false)),
			"GET /v1/folder-permissions": pageOf(), "PUT /v1/folders/21": echo(0)})
		_, err := f.open(func(c *Config) { c.Access = "preserve" }).Update(t.Context(), "21", "30", "y")
		if !errors.Is(err, vault.ErrNotAllowed) || count(f.take(), "PUT") != 0 {
			t.Errorf("Update = %v", err)
		}
	})
}

func TestInheritAndHoldMoveInOnePUT(t *testing.T) {
	for _, access := range []string{"", "inherit", "hold"} {
		s := &permissionServer{folder: folderArgs{ID: 21, ParentID: 20, Name: "x", TypeID: 1, InheritPermissions: true, SecretPolicyID: json.RawMessage("-1")}}
		f := newFake(t, s.routes())
		v := f.open(func(c *Config) { c.Access = access })
		if _, err := v.Tree(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.take()
		if _, err := v.Update(t.Context(), "21", "30", "y"); err != nil {
			t.Fatal(err)
		}
		if calls := f.take(); len(calls) != 1 || s.audience() != "Everybody" {
			t.Errorf("%q: calls %q, seen by %s", access, calls, s.audience())
		}
	}
}
