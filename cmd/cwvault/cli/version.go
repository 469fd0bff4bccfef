package cli

import (
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

func (versionCmd) help() ([]string, []int) { return []string{"cwvault version"}, nil }

// Run prints the version, the commit that the program was built from, and how.
func (versionCmd) Run(a *app) error {
	return a.print("cwvault %s commit %s %s %s/%s", a.version(), commitOf(buildInfo()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func buildInfo() *debug.BuildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{} // built without modules; what is known is in version
	}
	return info
}

// version returns the version of a release, or else that of the build.
func (a *app) version() string { return versionOf(a.Version, buildInfo()) }

func versionOf(release string, info *debug.BuildInfo) string {
	switch {
	case release != "":
		return release
	case info.Main.Version != "":
		return info.Main.Version
	}
	return "(devel)"
}

// commitOf returns the commit of a build, marked if the files differed from it.
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
