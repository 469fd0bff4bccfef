// Package synctest reads and writes worlds as text: the companies of a ConnectWise
// and the folders of a vault. The tests of the core, the scenarios and cwsim all
// use this one language.
//
// A world is a file of sections. Each begins with a line that has its title. The
// text before the first section is for people.
//
//	-- types --
//	1 Customer
//	2 Prospect
//	-- companies --
//	250  alovet  "Alovet, Inc."  Customer,Prospect  Active
//	251  bolt    Bolt            Customer           -       parent=250
//	-- vault --
//	Clients
//	  Customer [group/type:1]
//	    Alovet [company/250; readers: Helpdesk]
//	      * alovet-admin
//
// [Parse] lists the sections. [Companies], [Table] and [Folders] describe their
// lines. In every section, blank lines and lines that begin with # are skipped.
// Tabs at the beginning of a line do not count, so texts can be indented with the
// code around them. A line with {1001..1040} stands for forty lines, in which {}
// repeats the number.
package synctest
