package synctest

// OddNames are names of companies that a careless tool stumbles over. None is
// meant to be a real company.
var OddNames = []string{
	"Müller & Söhne GmbH", "Café Zoë", "Smith/Jones Partners", `Back\slash Studios`, "AT Systems, Inc. (East)", "O'Brien & Daughters",
	"日本橋商店", "Ελληνικά Τρόφιμα", "Łódź Logistyka Sp. z o.o.", "Ångström Labs", "  Spaced   Out  Ltd ", "شركة النخيل",
	"100% Organic", "#1 Plumbing", "Who? What! LLC", "..", ".git", "C++ Consulting: Embedded", "Tab\tand Line\nBreak Co", "Zero\u200bWidth Inc",
	"The Very Long Named Association for the Advancement of Mutual Understanding between Chambers of Commerce, Industry, Crafts and Agriculture of the Northern and the Southern Provinces and All of Their Affiliated Members, Guests, Friends, and Successors in Title since 1899",
}
