package settings

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler"
	"cwvault/sync"
	"cwvault/sync/httpclient"
)

// parse parses all settings and collects every problem.
func (s *Settings) parse() {
	s.parseRules()
	s.parseLimits()
	s.parseNumbers()
	s.parseService()
	s.parseLog()
}

// field parses one setting.
func (s *Settings) field(name string, parse func() error) { s.problems.Note(name, parse()) }

// choice parses a setting that must be one of a few words. If it is none of them, it
// adds a problem and returns the first.
func (s *Settings) choice(name, value string, valid ...string) string {
	if v := strings.ToLower(value); slices.Contains(valid, v) {
		return v
	}
	s.problems.Add(name, fmt.Sprintf("%q is not one of %s", value, strings.Join(valid, ", ")), "")
	return valid[0]
}

// parseRules parses the settings of the core.
func (s *Settings) parseRules() {
	r := &s.rules
	s.field("CWVAULT_FOLDER_STRUCTURE", func() (err error) { r.Structure, err = sync.ParseStructure(s.env.Structure); return })
	s.field("CWVAULT_FOLDER_NAME", func() (err error) { r.Name, err = sync.ParseNameTemplate(s.env.FolderName); return })
	r.Types, r.Statuses = splitList(s.env.Types), splitList(s.env.Statuses)
	r.Exclude, r.TypePriority = splitList(s.env.Exclude), splitList(s.env.TypePriority)
	r.Missing = s.env.Missing
	r.Adopt = s.choice("CWVAULT_ADOPT", s.env.Adopt, "off", "path") == "path"
	r.KeepDrift = s.choice("CWVAULT_DRIFT", s.env.Drift, "restore", "keep") == "keep"
	r.Access = sync.AccessMode(s.choice("CWVAULT_ACCESS", s.env.Access, "inherit", "preserve", "hold"))
	if s.choice("CWVAULT_DEPARTED", s.env.Departed, "keep", "archive") == "archive" {
		r.Archive = s.env.Archive
		if strings.ContainsAny(r.Archive, `\/`) || strings.Trim(r.Archive, ". ") == "" {
			s.problems.Add("CWVAULT_ARCHIVE_FOLDER", fmt.Sprintf("%q is not the name of one folder below the root", r.Archive), "")
		}
	}
}

func (s *Settings) parseLimits() {
	l := &s.rules.Limits
	s.field("CWVAULT_MAX_MOVES", func() (err error) { l.Moves, err = sync.ParseLimit(s.env.MaxMoves); return })
	s.field("CWVAULT_MAX_RENAMES", func() (err error) { l.Renames, err = sync.ParseLimit(s.env.MaxRenames); return })
	s.field("CWVAULT_MAX_ARCHIVES", func() (err error) { l.Archives, err = sync.ParseLimit(s.env.MaxArchives); return })
	s.field("CWVAULT_MAX_SOURCE_DROP", func() (err error) { l.SourceDrop, err = sync.ParseLimit(s.env.MaxDrop); return })
}

func (s *Settings) parseNumbers() {
	s.field("CWVAULT_CREATE_ROOT", func() (err error) { s.createRoot, err = parseBool(s.env.CreateRoot); return })
	s.field("CWVAULT_RUN_ON_START", func() (err error) { s.runOnStart, err = parseBool(s.env.RunOnStart); return })
	s.field("CWVAULT_WORKERS", func() (err error) { s.workers, err = parseInt(s.env.Workers, 1, 64); return })
	s.field("CWVAULT_KEEP_RUNS", func() (err error) { s.keepRuns, err = parseInt(s.env.KeepRuns, 1, 36500); return })
	if s.env.SecretID != "" {
		s.field("CWVAULT_CONNECTWISE_SECRET_ID", func() (err error) { s.secretID, err = parseInt(s.env.SecretID, 1, math.MaxInt32); return })
	}
	if s.env.NameLength != "" {
		s.field("CWVAULT_VAULT_NAME_LENGTH", func() (err error) { s.nameLength, err = parseInt(s.env.NameLength, 40, 4000); return })
	}
	s.field("CWVAULT_JITTER", func() (err error) { s.jitter, err = parseDuration(s.env.Jitter); return })
	s.field("CWVAULT_SETTLE", func() (err error) { s.settle, err = parseDuration(s.env.Settle); return })
	s.field("CWVAULT_GATHER", func() (err error) { s.gather, err = parseDuration(s.env.Gather); return })
	if s.gather > time.Minute {
		s.problems.Add("CWVAULT_GATHER", fmt.Sprintf("%q is longer than a minute", s.env.Gather), "")
	}
}

func (s *Settings) parseService() {
	s.tickets = s.choice("CWVAULT_TICKETS", s.env.Tickets, "off", "on") == "on"
	if s.tickets && s.env.TicketCompany == "" {
		s.problems.Add("CWVAULT_TICKET_COMPANY", "is not set", "CWVAULT_TICKETS=on needs the id or identifier of the company for the tickets, usually your own")
	}
	zone, err := time.LoadLocation(s.env.TimeZone)
	if err != nil {
		s.problems.Add("CWVAULT_TIMEZONE", err.Error(), "use a name such as Europe/London or UTC")
	} else if s.schedule, err = scheduler.Parse(s.env.Schedule, zone); err != nil {
		s.problems.Add("CWVAULT_SCHEDULE", err.Error(), "write five fields such as */15 7-19 * * 1-5, or @hourly, or @every 30m")
	}
	s.field("CWVAULT_LISTEN", s.parseListen)
}

func (s *Settings) parseLog() {
	s.logLevel = hclog.LevelFromString(s.choice("CWVAULT_LOG_LEVEL", s.env.LogLevel, "trace", "debug", "info", "warn", "error", "off"))
	s.logJSON = s.choice("CWVAULT_LOG_FORMAT", s.env.LogFormat, "text", "json") == "json"
}

func (s *Settings) parseListen() error {
	if s.env.Listen == "off" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.env.Listen)
	if err != nil {
		return fmt.Errorf("%q is not an address such as 127.0.0.1:8377, or off", s.env.Listen)
	}
	s.listenLocal = httpclient.LoopbackHost(host)
	if !s.listenLocal && s.env.Token == "" {
		return sync.Problem{Text: fmt.Sprintf("%q can be reached from other machines", s.env.Listen), Fix: "set a CWVAULT_TOKEN, or listen on 127.0.0.1"}
	}
	return nil
}

// splitList splits a list at its commas.
func splitList(s string) []string {
	var list []string
	for _, entry := range strings.Split(s, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
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
