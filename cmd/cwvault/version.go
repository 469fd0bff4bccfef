package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by release builds: make release VERSION=v1.2.3.
var version = ""

type versionCmd struct{}

// Run prints the version, the commit that the program was built from, and how.
func (versionCmd) Run(a *app) error {
	info := buildInfo()
	_, err := fmt.Fprintf(a.stdout, "cwvault %s commit %s %s %s/%s\n", versionOf(info), commitOf(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func buildInfo() *debug.BuildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{} // built without modules; what is known is in version
	}
	return info
}

func versionOf(info *debug.BuildInfo) string {
	switch {
	case version != "":
		return version
	case info.Main.Version != "":
		return info.Main.Version
	}
	return "(devel)"
}

// commitOf returns the commit of a build, marked when the files were not those
// of the commit.
func commitOf(info *debug.BuildInfo) string {
	commit, suffix := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "+modified"
		}
	}
	return commit + suffix
}
