// Package synctest reads and writes worlds as text: the companies of a
// ConnectWise and the folders of a vault. The tests of the core, the scenarios
// and cwsim all describe their worlds in this one language.
//
// A world is a file of sections, each below a line with its title. What stands
// before the first section is for people.
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
// [Parse] lists the sections, [Companies], [Table] and [Folders] say what may
// stand in each. In every section a blank line, and one that begins with #, is
// skipped; tabs at the beginning of a line do not count, so that texts can be
// indented with the code around them; and a line with {1001..1040} stands for
// forty lines, in which {} is the same number again.
package synctest
