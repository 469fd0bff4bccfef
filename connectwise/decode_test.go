package connectwise

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// FuzzCompanyJSON holds decodeRows against encoding/json: it takes exactly the
// lists that are whole and whose rows have an id, and takes the same from them.
func FuzzCompanyJSON(f *testing.F) {
	page, err := os.ReadFile("testdata/companies.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add(page[:len(page)-3])
	for _, seed := range []string{
		"[]", " [ ] \n", "", "[", "]", "null", "{}", "[null]", "[[]]", "[1]", `["x"]`, "[{}]", `[{"id":1}]x`, `[{"id":1}][]`, `[{"id":1},]`,
		`[{"id":1} {"id":2}]`, `[{"id":1,"ID":2}]`, `[{"id":-1}]`, `[{"id":"1"}]`, `[{"id":1e3}]`, `[{"id":9223372036854775808}]`,
		`[{"id":1,"name":"\ud800\u0000"}]`, `[{"id":1,"status":5}]`, `[{"id":1,"status":{"id":null}}]`, `[{"id":1,"typeIds":[1,null,1],"type":{"id":1}}]`,
		`{"code":"Security","message":"SSL is required.","errors":null}`, "<html>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []sync.Company
		err := decodeRows(bytes.NewReader(data), func(w *wireCompany) error { got = append(got, w.company()); return nil })

		var wires []wireCompany
		trimmed := bytes.TrimLeft(data, " \t\r\n")
		good := bytes.HasPrefix(trimmed, []byte("[")) && json.Unmarshal(data, &wires) == nil
		var want []sync.Company
		for i := range wires {
			good = good && wires[i].ID > 0
			want = append(want, wires[i].company())
		}
		if good != (err == nil) {
			t.Fatalf("decodeRows: %v, but encoding/json and the ids say %v", err, good)
		}
		if !good {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +decodeRows):\n%s", diff)
		}
		for _, company := range got {
			seen := map[int]bool{}
			for _, ref := range company.Types {
				if ref.ID <= 0 || seen[ref.ID] {
					t.Errorf("types %v", company.Types)
				}
				seen[ref.ID] = true
			}
		}
	})
}

// companies100k is what ConnectWise sends for the fields that are asked for.
func companies100k() []byte {
	const base = "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"
	var b bytes.Buffer
	b.WriteByte('[')
	for id := 1; id <= 100_000; id++ {
		if id > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"identifier":"Example%d","name":"Example Company No. %d, Inc.",`, id, id, id)
		fmt.Fprintf(&b, `"status":{"id":%d,"name":"Active","_info":{"status_href":"%s/company/companies/statuses/%d"}},`, id%5+1, base, id%5+1)
		fmt.Fprintf(&b, `"territory":{"id":%d,"name":"Example MSP","_info":{"location_href":"%s/system/locations/%d"}},`, id%3+11, base, id%3+11)
		if id%4 == 0 {
			fmt.Fprintf(&b, `"market":{"id":%d,"name":"Professional Services","_info":{"market_href":"%s/company/marketDescriptions/%d"}},`, id%7+1, base, id%7+1)
		}
		if id%10 == 0 {
			fmt.Fprintf(&b, `"parentCompany":{"id":%d,"identifier":"Example%d","name":"Example Company No. %d, Inc.","_info":{"company_href":"%s/company/companies/%d"}},`, id/10, id/10, id/10, base, id/10)
		}
		fmt.Fprintf(&b, `"deletedFlag":false,"types":[{"id":%d,"name":"Client","_info":{"type_href":"%s/company/companies/types/%d"}}]}`, id%6+1, base, id%6+1)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// BenchmarkDecode100k decodes 100,000 companies as a reading does.
func BenchmarkDecode100k(b *testing.B) {
	data := companies100k()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var companies []sync.Company
	for b.Loop() {
		companies = nil
		if err := decodeRows(bytes.NewReader(data), func(w *wireCompany) error { companies = append(companies, w.company()); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	if len(companies) != 100_000 {
		b.Fatalf("%d companies", len(companies))
	}
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(companies)
	companies = nil
	runtime.GC()
	runtime.ReadMemStats(&without)
	b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/100_000, "live-B/company")
}

// BenchmarkEncodingJSON100k is the yardstick for [BenchmarkDecode100k] and for
// planning: the same bytes, by encoding/json alone.
func BenchmarkEncodingJSON100k(b *testing.B) {
	data := companies100k()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var companies []wireCompany
		if err := json.Unmarshal(data, &companies); err != nil {
			b.Fatal(err)
		}
		if len(companies) != 100_000 {
			b.Fatalf("%d companies", len(companies))
		}
	}
}
