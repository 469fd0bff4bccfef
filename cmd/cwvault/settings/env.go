package settings

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"cwvault/sync"
)

// Secret is a setting that is never printed.
type Secret string

func (Secret) String() string   { return "(secret)" }
func (Secret) GoString() string { return "(secret)" }

// environment holds the variables as text, so that one pass finds every problem.
// parse gives them meaning.
type environment struct {
	ConnectWiseURL      string `env:"CWVAULT_CONNECTWISE_URL"`
	ConnectWiseCompany  string `env:"CWVAULT_CONNECTWISE_COMPANY_ID"`
	ConnectWisePublic   Secret `env:"CWVAULT_CONNECTWISE_PUBLIC_KEY"`
	ConnectWisePrivate  Secret `env:"CWVAULT_CONNECTWISE_PRIVATE_KEY"`
	ConnectWiseClientID string `env:"CWVAULT_CONNECTWISE_CLIENT_ID"`
	ConnectWiseVersion  string `env:"CWVAULT_CONNECTWISE_VERSION"`
	ConnectWiseCAFile   string `env:"CWVAULT_CONNECTWISE_CA_FILE"`

	VaultURL      string `env:"CWVAULT_VAULT_URL"`
	VaultUsername string `env:"CWVAULT_VAULT_USERNAME"`
	VaultPassword Secret `env:"CWVAULT_VAULT_PASSWORD"`
	VaultDomain   string `env:"CWVAULT_VAULT_DOMAIN"`
	VaultCAFile   string `env:"CWVAULT_VAULT_CA_FILE"`
	SecretID      string `env:"CWVAULT_CONNECTWISE_SECRET_ID"`
	NameLength    string `env:"CWVAULT_VAULT_NAME_LENGTH"`
	NameForbidden string `env:"CWVAULT_VAULT_NAME_FORBIDDEN"`

	Root         string `env:"CWVAULT_ROOT"`
	CreateRoot   string `env:"CWVAULT_CREATE_ROOT"`
	Structure    string `env:"CWVAULT_FOLDER_STRUCTURE"`
	FolderName   string `env:"CWVAULT_FOLDER_NAME"`
	Types        string `env:"CWVAULT_TYPES"`
	Statuses     string `env:"CWVAULT_STATUSES"`
	Exclude      string `env:"CWVAULT_EXCLUDE"`
	TypePriority string `env:"CWVAULT_TYPE_PRIORITY"`
	Missing      string `env:"CWVAULT_MISSING"`
	Adopt        string `env:"CWVAULT_ADOPT"`
	Drift        string `env:"CWVAULT_DRIFT"`
	Access       string `env:"CWVAULT_ACCESS"`
	Departed     string `env:"CWVAULT_DEPARTED"`
	Archive      string `env:"CWVAULT_ARCHIVE_FOLDER"`
	MaxMoves     string `env:"CWVAULT_MAX_MOVES"`
	MaxRenames   string `env:"CWVAULT_MAX_RENAMES"`
	MaxArchives  string `env:"CWVAULT_MAX_ARCHIVES"`
	MaxDrop      string `env:"CWVAULT_MAX_SOURCE_DROP"`
	Settle       string `env:"CWVAULT_SETTLE"`

	State          string `env:"CWVAULT_STATE"`
	KeepRuns       string `env:"CWVAULT_KEEP_RUNS"`
	Schedule       string `env:"CWVAULT_SCHEDULE"`
	TimeZone       string `env:"CWVAULT_TIMEZONE"`
	Jitter         string `env:"CWVAULT_JITTER"`
	RunOnStart     string `env:"CWVAULT_RUN_ON_START"`
	Listen         string `env:"CWVAULT_LISTEN"`
	Token          Secret `env:"CWVAULT_TOKEN"`
	Gather         string `env:"CWVAULT_GATHER"`
	Workers        string `env:"CWVAULT_WORKERS"`
	Tickets        string `env:"CWVAULT_TICKETS"`
	TicketBoard    string `env:"CWVAULT_TICKET_BOARD"`
	TicketPriority string `env:"CWVAULT_TICKET_PRIORITY"`
	TicketCompany  string `env:"CWVAULT_TICKET_COMPANY"`
	LogLevel       string `env:"CWVAULT_LOG_LEVEL"`
	LogFormat      string `env:"CWVAULT_LOG_FORMAT"`
}

// defaults are the settings of an empty environment.
var defaults = environment{
	Root: `\Clients`, CreateRoot: "false", Structure: `$TYPE\$STATUS`, FolderName: "$NAME",
	Adopt: "off", Drift: "restore", Access: "inherit", Departed: "keep", Archive: "_Archive",
	MaxMoves: "20%", MaxRenames: "20%", MaxArchives: "5%", MaxDrop: "10%", Settle: "0s",
	State: "cwvault.db", KeepRuns: "30", Schedule: "@every 30m", TimeZone: "UTC", Jitter: "0s", RunOnStart: "true",
	Listen: "127.0.0.1:8377", Gather: "3s", Workers: "8", Tickets: "off", LogLevel: "info", LogFormat: "text",
}

// fromFile are the variables that can be set by NAME_FILE instead.
var fromFile = []string{
	"CWVAULT_CONNECTWISE_PUBLIC_KEY", "CWVAULT_CONNECTWISE_PRIVATE_KEY", "CWVAULT_CONNECTWISE_CLIENT_ID",
	"CWVAULT_VAULT_PASSWORD", "CWVAULT_TOKEN",
}

// settingsLookup finds variables for envconfig. An empty variable counts as unset,
// and some may be in a file.
type settingsLookup struct {
	env      map[string]string
	problems *sync.Problems
}

func (l settingsLookup) Lookup(name string) (string, bool) {
	value := l.env[name]
	if !slices.Contains(fromFile, name) || l.env[name+"_FILE"] == "" {
		return value, value != ""
	}
	if value != "" {
		l.problems.Add(name, fmt.Sprintf("is set, and so is %s_FILE", name), "keep one")
		return "", false
	}
	text, err := readSmall(l.env[name+"_FILE"])
	switch {
	case err != nil:
		l.problems.Add(name+"_FILE", err.Error(), "")
	case text == "":
		l.problems.Add(name+"_FILE", fmt.Sprintf("the file %s is empty", l.env[name+"_FILE"]), "")
	}
	return text, text != ""
}

// readSmall reads a value from a file, without the line end that editors append.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", err
	}
	if len(b) > most {
		return "", fmt.Errorf("the file %s is too large for a setting", path)
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// unknown returns the variables that look like settings but are none.
func unknown(environ []string) []string {
	known := map[string]bool{}
	for _, name := range Names() {
		known[name] = true
	}
	for _, name := range fromFile {
		known[name+"_FILE"] = true
	}
	var list []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "CWVAULT_") && !strings.HasPrefix(name, "CWVAULT_TEST_") && value != "" && !known[name] {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Names returns the names of all variables, in the order of the README.
func Names() []string {
	var names []string
	t := reflect.TypeFor[environment]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("env"))
	}
	return names
}
