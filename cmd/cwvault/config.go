package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sethvargo/go-envconfig"

	"cwvault/scheduler"
	"cwvault/sync"
)

// secret is a setting that is never printed.
type secret string

func (secret) String() string   { return "(secret)" }
func (secret) GoString() string { return "(secret)" }

// environment is what the variables say, as text. Everything is read as text
// so that one look finds every problem; parse turns it into a config.
type environment struct {
	ConnectWiseURL      string `env:"CWVAULT_CONNECTWISE_URL"`
	ConnectWiseCompany  string `env:"CWVAULT_CONNECTWISE_COMPANY_ID"`
	ConnectWisePublic   secret `env:"CWVAULT_CONNECTWISE_PUBLIC_KEY"`
	ConnectWisePrivate  secret `env:"CWVAULT_CONNECTWISE_PRIVATE_KEY"`
	ConnectWiseClientID string `env:"CWVAULT_CONNECTWISE_CLIENT_ID"`
	ConnectWiseVersion  string `env:"CWVAULT_CONNECTWISE_VERSION"`
	ConnectWiseCAFile   string `env:"CWVAULT_CONNECTWISE_CA_FILE"`

	VaultURL      string `env:"CWVAULT_VAULT_URL"`
	VaultUsername string `env:"CWVAULT_VAULT_USERNAME"`
	VaultPassword secret `env:"CWVAULT_VAULT_PASSWORD"`
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
	Token          secret `env:"CWVAULT_TOKEN"`
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

// fromFile are the variables that may be given as NAME_FILE instead.
var fromFile = []string{
	"CWVAULT_CONNECTWISE_PUBLIC_KEY", "CWVAULT_CONNECTWISE_PRIVATE_KEY", "CWVAULT_CONNECTWISE_CLIENT_ID",
	"CWVAULT_VAULT_PASSWORD", "CWVAULT_TOKEN",
}

// config is the environment, understood.
type config struct {
	environment
	settings    sync.Settings
	createRoot  bool
	runOnStart  bool
	schedule    scheduler.Schedule
	jitter      time.Duration
	settle      time.Duration
	gather      time.Duration // how long callbacks are gathered
	tickets     bool
	workers     int
	keepRuns    int
	secretID    int // 0: the keys are in the settings
	nameLength  int // 0: the vault's own
	logLevel    hclog.Level
	logJSON     bool
	listenLocal bool

	// problems are what is wrong so far. [app.open] adds what the clients find
	// wrong and refuses all of it at once.
	problems configError
}

// configError lists every problem of the settings.
type configError []string

func (e configError) Error() string { return "settings:\n  " + strings.Join(e, "\n  ") }

// settingsLookup finds variables for envconfig: an empty one counts as unset,
// and some may be in a file.
type settingsLookup struct {
	env      map[string]string
	problems *configError
}

func (l settingsLookup) Lookup(name string) (string, bool) {
	value := l.env[name]
	if !slices.Contains(fromFile, name) || l.env[name+"_FILE"] == "" {
		return value, value != ""
	}
	if value != "" {
		*l.problems = append(*l.problems, fmt.Sprintf("%s and %s_FILE are both set; keep one", name, name))
		return "", false
	}
	text, err := readSmall(l.env[name+"_FILE"])
	switch {
	case err != nil:
		*l.problems = append(*l.problems, fmt.Sprintf("%s_FILE: %v", name, err))
	case text == "":
		*l.problems = append(*l.problems, fmt.Sprintf("%s_FILE: the file %s is empty", name, l.env[name+"_FILE"]))
	}
	return text, text != ""
}

// readSmall reads the value that a file holds, without the line end that
// editors put behind it.
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

// loadConfig reads the settings. What is wrong with them is collected in
// problems, by variable, and never with a secret's value.
func loadConfig(ctx context.Context, environ []string) (*config, error) {
	c := &config{environment: defaults}
	lookup := settingsLookup{env: map[string]string{}, problems: &c.problems}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		lookup.env[name] = value
	}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &c.environment, Lookuper: lookup, DefaultOverwrite: true})
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	c.parse()
	return c, nil
}

func (c *config) parse() {
	bad := func(name string, err error) {
		if err != nil {
			c.problems = append(c.problems, name+": "+err.Error())
		}
	}
	parsed := func(name string, parse func() error) { bad(name, parse()) }
	s := &c.settings

	parsed("CWVAULT_FOLDER_STRUCTURE", func() (err error) { s.Structure, err = sync.ParseStructure(c.Structure); return })
	parsed("CWVAULT_FOLDER_NAME", func() (err error) { s.Name, err = sync.ParseNameTemplate(c.FolderName); return })
	s.Types, s.Statuses = splitList(c.Types), splitList(c.Statuses)
	s.Exclude, s.TypePriority = splitList(c.Exclude), splitList(c.TypePriority)
	s.Missing = c.Missing

	adopt, err := oneOf(c.Adopt, "off", "path")
	bad("CWVAULT_ADOPT", err)
	s.Adopt = adopt == "path"
	drift, err := oneOf(c.Drift, "restore", "keep")
	bad("CWVAULT_DRIFT", err)
	s.KeepDrift = drift == "keep"
	access, err := oneOf(c.Access, "inherit", "preserve", "hold")
	bad("CWVAULT_ACCESS", err)
	s.Access = sync.AccessMode(access)
	departed, err := oneOf(c.Departed, "keep", "archive")
	bad("CWVAULT_DEPARTED", err)
	if departed == "archive" {
		s.Archive = c.Archive
		if strings.ContainsAny(c.Archive, `\/`) || strings.Trim(c.Archive, ". ") == "" {
			bad("CWVAULT_ARCHIVE_FOLDER", fmt.Errorf("%q is not the name of one folder below the root", c.Archive))
		}
	}
	parsed("CWVAULT_MAX_MOVES", func() (err error) { s.Limits.Moves, err = sync.ParseLimit(c.MaxMoves); return })
	parsed("CWVAULT_MAX_RENAMES", func() (err error) { s.Limits.Renames, err = sync.ParseLimit(c.MaxRenames); return })
	parsed("CWVAULT_MAX_ARCHIVES", func() (err error) { s.Limits.Archives, err = sync.ParseLimit(c.MaxArchives); return })
	parsed("CWVAULT_MAX_SOURCE_DROP", func() (err error) { s.Limits.SourceDrop, err = sync.ParseLimit(c.MaxDrop); return })

	parsed("CWVAULT_CREATE_ROOT", func() (err error) { c.createRoot, err = parseBool(c.CreateRoot); return })
	parsed("CWVAULT_RUN_ON_START", func() (err error) { c.runOnStart, err = parseBool(c.RunOnStart); return })
	parsed("CWVAULT_WORKERS", func() (err error) { c.workers, err = parseInt(c.Workers, 1, 64); return })
	parsed("CWVAULT_KEEP_RUNS", func() (err error) { c.keepRuns, err = parseInt(c.KeepRuns, 1, 36500); return })
	if c.SecretID != "" {
		parsed("CWVAULT_CONNECTWISE_SECRET_ID", func() (err error) { c.secretID, err = parseInt(c.SecretID, 1, math.MaxInt32); return })
	}
	if c.NameLength != "" {
		parsed("CWVAULT_VAULT_NAME_LENGTH", func() (err error) { c.nameLength, err = parseInt(c.NameLength, 40, 4000); return })
	}
	parsed("CWVAULT_JITTER", func() (err error) { c.jitter, err = parseDuration(c.Jitter); return })
	parsed("CWVAULT_SETTLE", func() (err error) { c.settle, err = parseDuration(c.Settle); return })
	parsed("CWVAULT_GATHER", func() (err error) { c.gather, err = parseDuration(c.Gather); return })
	if c.gather > time.Minute {
		bad("CWVAULT_GATHER", fmt.Errorf("%q is longer than a minute", c.Gather))
	}
	tickets, err := oneOf(c.Tickets, "off", "on")
	bad("CWVAULT_TICKETS", err)
	if c.tickets = tickets == "on"; c.tickets && c.TicketCompany == "" {
		bad("CWVAULT_TICKET_COMPANY", errors.New("not set; CWVAULT_TICKETS=on needs the id or identifier of the company that tickets are for, mostly your own"))
	}
	zone, err := time.LoadLocation(c.TimeZone)
	bad("CWVAULT_TIMEZONE", err)
	if err == nil {
		parsed("CWVAULT_SCHEDULE", func() (err error) { c.schedule, err = scheduler.Parse(c.environment.Schedule, zone); return })
	}
	parsed("CWVAULT_LISTEN", c.parseListen)
	level, err := oneOf(c.LogLevel, "trace", "debug", "info", "warn", "error", "off")
	bad("CWVAULT_LOG_LEVEL", err)
	c.logLevel = hclog.LevelFromString(level)
	format, err := oneOf(c.LogFormat, "text", "json")
	bad("CWVAULT_LOG_FORMAT", err)
	c.logJSON = format == "json"
}

func (c *config) parseListen() error {
	if c.Listen == "off" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("%q is not an address such as 127.0.0.1:8377, or off", c.Listen)
	}
	ip := net.ParseIP(host)
	c.listenLocal = host == "localhost" || ip != nil && ip.IsLoopback()
	if !c.listenLocal && c.Token == "" {
		return fmt.Errorf("%q can be reached from other machines; that needs a CWVAULT_TOKEN", c.Listen)
	}
	return nil
}

// splitList reads a comma separated list.
func splitList(s string) []string {
	var list []string
	for _, entry := range strings.Split(s, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}

func oneOf(value string, valid ...string) (string, error) {
	if v := strings.ToLower(value); slices.Contains(valid, v) {
		return v, nil
	}
	return valid[0], fmt.Errorf("%q is not one of %s", value, strings.Join(valid, ", "))
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", s)
	}
	return b, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && s == "0" {
		return 0, nil
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 15m or 2h", s)
	}
	return d, nil
}

func parseInt(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, low, high)
	}
	return n, nil
}

// unknownSettings returns variables that look like settings and are none.
func unknownSettings(environ []string) []string {
	known := map[string]bool{}
	for _, name := range settingNames() {
		known[name] = true
	}
	for _, name := range fromFile {
		known[name+"_FILE"] = true
	}
	var unknown []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "CWVAULT_") && !strings.HasPrefix(name, "CWVAULT_TEST_") && value != "" && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// settingNames returns the names of all variables.
func settingNames() []string {
	var names []string
	t := reflect.TypeFor[environment]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("env"))
	}
	return names
}
