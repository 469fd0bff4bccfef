// Package connectwisetest simulates a ConnectWise PSA server in this process, on loopback.
// It follows the real server's rules and fails like the real server. Tests, "cwvault demo"
// and cwsim use it.
//
//	s, err := connectwisetest.New(connectwisetest.Options{})
//	defer s.Close()
//	active, client := s.AddStatus("Active"), s.AddType("Client")
//	id := s.AddCompany(connectwisetest.Company{Name: "Alovet", Status: active, Types: []int{client}})
//	s.AddFault(connectwisetest.TooManyRequests(1)) // CWVAULT_CONNECTWISE_URL is s.URL()
//
// [Behaviour] has the permanent switches, [Fault] the occasional failures, and
// [Server.Requests] the record of all requests.
//
// # What it simulates
//
// From the Developer Guide, the vendor's OpenAPI text and recorded answers: discovery;
// v4_6_release and a dated codebase that moves; keys, clientId and role; model versions;
// paging by number and forward-only with their Link headers; fields, orderBy and the three
// kinds of conditions; omitted nulls; the recycle bin; array-only PATCH that validates the
// whole record; types that only change through associations; tickets, boards, notes; signed
// callbacks; the error bodies. It refuses members and paths that it does not simulate like
// unknown ones and never ignores them. It has no PUT, links or setup of user-defined fields.
//
// # What it guesses
//
// If the facts are silent or disagree, it does what a client must cope with:
//
//   - the texts of 403, 405, 413, 414, 415, of a bad clientId (403), of
//     condition errors beyond the recorded ones, and all codes in "errors"
//     but NotFound, OutOfRange and ObjectExists
//   - forward-only paging knows the last page when it sends it; its Link is
//     then empty, also when the page is full
//   - numbered paging without orderBy is by id; a pageSize of 0 is the
//     default; one page alone has no Link
//   - conditions: SQL's null (only "= null" is true for it), text that ignores
//     case, "_" and "[x]" in like, no escape in quotes, no prefix "not", "and"
//     before "or", UTC for dates without a zone
//   - childConditions and customFieldConditions hold when one element meets
//     the whole expression
//   - the type models change with versions 2018.6 and 2020.1, lengths with
//     2026.4; a version newer than the server's is a 400
//   - it refuses a PATCH of customFields that omits one
//   - it checks rights before the record that is sent, and the right to add tickets
//     is also the right to note and change them
//   - a note has a text and one of three flags; a deleted ticket does not exist
//   - a merge only moves tickets; deleting a status leaves its companies without
//     one
//   - callbacks: the query "id" and "action", a null Entity on delete, the
//     address of the key, no order among deliveries. They go to loopback only
//   - ids start at 250, and URLs end at 10,000 characters
package connectwisetest
