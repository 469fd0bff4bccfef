// Package report says what a plan and a run mean, once and for everybody: the
// command line, the page, tickets, files and other programs.
//
// It holds the words and no decisions. What is decided comes from package
// cwvault/sync as values; report turns those values into a run's JSON ([Run]),
// into text ([Text], [RunText]), Markdown ([Markdown]) and HTML ([HTML]), into
// typed facts about one company ([Company.Facts]) and into the diff of the
// folder tree that the page shows ([MakeTree]).
//
// # One catalogue, one table
//
// What a hold code means, what to do about it and whether approving helps is
// said in one place, [HoldOf]. The words for the five operations are in one
// table, [Operations]. Nobody else explains either.
//
// # Remote text
//
// Names of companies and folders, and the texts of errors, come from other
// people's servers. [Plain] makes them harmless for a terminal and a log; the
// functions here apply it, and escape for Markdown and HTML besides. What is
// handed out as JSON keeps the names as they are, with unprintable characters
// written as escapes.
package report
