// Package report puts plans and runs into words, in one place for the command line,
// the page, tickets, files and other programs.
//
// It holds words and makes no decisions. It turns values of package cwvault/sync
// into a run's JSON ([Run]), text ([Text], [RunText]), Markdown ([Markdown]) and
// HTML ([HTML]), into typed facts about one company ([Company.Facts]), and into the
// diff of the folder tree on the page ([MakeTree]).
//
// # One catalogue, one table
//
// [HoldOf] says what a hold code means, how to fix it and whether approving helps.
// The table [Operations] has the words for the five operations. No other package
// explains either.
//
// # Remote text
//
// Names of companies and folders, and the texts of errors, come from other
// people's servers. [Plain] makes them safe for a terminal and a log. The functions
// here apply it, and also escape for Markdown and HTML. JSON keeps the names as they
// are, with unprintable characters written as escapes.
package report
