// Package connectwisetest is a ConnectWise PSA server in this process, on
// loopback: it keeps the real one's rules and fails in the real one's ways.
// Tests use it, and so does "cwvault demo" in the shipped program.
//
//	s, err := connectwisetest.New(connectwisetest.Options{})
//	defer s.Close()
//	active, client := s.AddStatus("Active"), s.AddType("Client")
//	id := s.AddCompany(connectwisetest.Company{Name: "Alovet", Status: active, Types: []int{client}})
//	s.AddFault(connectwisetest.TooManyRequests(1)) // CWVAULT_CONNECTWISE_URL is s.URL()
//
// [Behaviour] holds the switches that last, [Fault] what goes wrong now and
// then, [Server.Requests] the record of what was asked.
//
// # What it keeps
//
// From the Developer Guide, the vendor's OpenAPI text and recorded answers:
// discovery; v4_6_release and a dated codebase that moves; keys, clientId and
// role; model versions; paging by number and forward-only with their Link
// headers; fields, orderBy and the three kinds of conditions; nulls left out;
// the recycle bin; array-only PATCH that validates the whole record; types that
// change through associations alone; tickets, boards, notes; signed callbacks;
// the error bodies. Members and paths that are not modelled are refused like
// unknown ones, never dropped in silence; PUT, links and user-defined field
// setup are left out.
//
// # What it guesses
//
// Where the facts are silent or disagree it does what a client must not be
// surprised by:
//
//   - the texts of 403, 405, 413, 414, 415, of a bad clientId (403), of
//     condition errors beyond the recorded ones, and all codes in "errors"
//     but NotFound, OutOfRange and ObjectExists
//   - forward-only paging knows the last page when it sends it; its Link is
//     then empty, also when the page is full
//   - numbered paging without orderBy is by id; a pageSize of 0 is the
//     default; one page alone has no Link
//   - conditions: SQL's null (nothing but "= null" is true of it), text
//     without regard to case, "_" and "[x]" in like, no escape in quotes, no
//     prefix "not", "and" before "or", UTC for naive dates
//   - childConditions and customFieldConditions hold when one element meets
//     the whole expression
//   - the type models change with versions 2018.6 and 2020.1, lengths with
//     2026.4; a version newer than the server's is a 400
//   - a PATCH of customFields that leaves one out is refused
//   - rights are looked at before the record that is sent, and the right to add
//     tickets is the one to note and to change them
//   - a note has a text and one of three flags; a ticket that is deleted is gone
//   - a merge moves tickets and nothing else; a status that is deleted leaves
//     its companies without one
//   - callbacks: the query "id" and "action", a null Entity on delete, the
//     address of the key, no order among deliveries. They go to loopback only
//   - ids start at 250, and URLs end at 10,000 characters
package connectwisetest
