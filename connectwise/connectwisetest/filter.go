package connectwisetest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// filter says whether a row is wanted.
type filter func(row any) bool

// allow says which part of the grammar a query parameter takes: "in" is not
// for childConditions and customFieldConditions (Developer Guide).
type allow struct {
	in bool
	// find returns the field that a name means, or nil.
	find func(name string) *field
}

// compile turns a parsed condition into a filter. Every name is looked up and
// every literal checked here, once, and not per row. A nil node wants all.
func compile(n node, a allow) (filter, error) {
	switch n := n.(type) {
	case junction:
		kids := make([]filter, len(n.kids))
		for i, kid := range n.kids {
			f, err := compile(kid, a)
			if err != nil {
				return nil, err
			}
			kids[i] = f
		}
		if n.and {
			return func(row any) bool {
				for _, f := range kids {
					if !f(row) {
						return false
					}
				}
				return true
			}, nil
		}
		return func(row any) bool {
			for _, f := range kids {
				if f(row) {
					return true
				}
			}
			return false
		}, nil
	case comparison:
		f := a.find(n.name)
		if f == nil {
			return nil, conditionError("%s is not a recognized name.", n.name)
		}
		if n.op == "in" && !a.in {
			return nil, conditionError("The operator in is not supported here.")
		}
		test, err := compileTest(n, f)
		if err != nil {
			return nil, err
		}
		return func(row any) bool { return test(f.get(row)) }, nil
	}
	return func(any) bool { return true }, nil
}

// compileTest returns the test of one comparison on the value of field f,
// which is nil where the row has none. As in SQL, nothing but "= null" is true
// of a missing value, "!=" and "not in" included.
func compileTest(n comparison, f *field) (func(value any) bool, error) {
	first := n.values[0]
	if first.kind == litNull {
		switch n.op {
		case "=":
			return func(v any) bool { return v == nil }, nil
		case "!=":
			return func(v any) bool { return v != nil }, nil
		}
		return nil, wrongLiteral(f, litNull)
	}
	if err := checkLiterals(n, f); err != nil {
		return nil, err
	}
	unsupported := conditionError("The operator %s is not supported for %s.", n.op, n.name)
	switch n.op {
	case "=", "!=":
		negate := n.op == "!="
		return func(v any) bool {
			c, ok := compare(v, first)
			return ok && (c == 0) != negate
		}, nil
	case "in":
		return isOneOf(n), nil
	case "like", "contains":
		if first.kind != litString || f.kind == enum {
			return nil, unsupported
		}
		return matches(n), nil
	}
	if f.kind == enum || first.kind == litBoolean {
		return nil, unsupported
	}
	holds := ordered(n.op)
	return func(v any) bool {
		c, ok := compare(v, first)
		return ok && holds(c)
	}, nil
}

// checkLiterals refuses literals that are not of the field's kind.
func checkLiterals(n comparison, f *field) error {
	for _, v := range n.values {
		if f.kind == anything && v.kind == n.values[0].kind && v.kind != litNull {
			continue
		}
		if f.kind == anything || v.kind != f.kind.literal() {
			return wrongLiteral(f, v.kind)
		}
		if f.kind == enum && !slices.ContainsFunc(f.values, func(s string) bool { return strings.EqualFold(s, v.text) }) {
			return conditionError("Enum value supplied was invalid")
		}
	}
	return nil
}

// isOneOf is the test of "in" and "not in".
func isOneOf(n comparison) func(any) bool {
	return func(v any) bool {
		if v == nil {
			return false
		}
		for _, lit := range n.values {
			if c, ok := compare(v, lit); ok && c == 0 {
				return !n.not
			}
		}
		return n.not
	}
}

// matches is the test of "like" and "contains", negated or not.
func matches(n comparison) func(any) bool {
	text := n.values[0].text
	match := likePattern(text)
	if n.op == "contains" {
		part := strings.ToLower(strings.ReplaceAll(text, "[[]", "["))
		match = func(s string) bool { return strings.Contains(strings.ToLower(s), part) }
	}
	return func(v any) bool {
		s, ok := v.(string)
		return ok && match(s) != n.not
	}
}

// ordered tells by the order of value and literal whether op holds.
func ordered(op string) func(c int) bool {
	switch op {
	case "<":
		return func(c int) bool { return c < 0 }
	case "<=":
		return func(c int) bool { return c <= 0 }
	case ">":
		return func(c int) bool { return c > 0 }
	}
	return func(c int) bool { return c >= 0 } // ">=": the parser gives no other
}

func wrongLiteral(f *field, got literalKind) error {
	want := f.kind.literal()
	if f.kind == anything {
		want = litString
	}
	return conditionError("Expected a %s value, not a %s. %s", want, got, literalHelp)
}

// compare orders a row's value and a literal; ok is false when the row has no
// value or one of another kind. Text is compared without regard to case, as
// SQL Server's usual collation does.
func compare(v any, lit literal) (c int, ok bool) {
	switch v := v.(type) {
	case string:
		if lit.kind != litString {
			return 0, false
		}
		if strings.EqualFold(v, lit.text) {
			return 0, true
		}
		return cmp.Compare(strings.ToLower(v), strings.ToLower(lit.text)), true
	case int:
		return cmp.Compare(float64(v), lit.num), lit.kind == litNumber
	case float64:
		return cmp.Compare(v, lit.num), lit.kind == litNumber
	case bool:
		if v == lit.flag {
			return 0, lit.kind == litBoolean
		}
		return 1, lit.kind == litBoolean
	case time.Time:
		return v.Compare(lit.time), lit.kind == litDate
	}
	return 0, false
}

// likeItem is one position of a like pattern: any text, any character, or one
// character of a set.
type likeItem struct {
	star bool
	any  bool
	set  []rune
}

// likePattern returns the matcher of a like pattern without regard to case:
// "*" and "%" stand for any text, "_" for one character, and "[x]" for one
// character of the set, so that "[[]" is a bracket (SQL LIKE).
func likePattern(pattern string) func(string) bool {
	var items []likeItem
	for rs := []rune(strings.ToLower(pattern)); len(rs) > 0; rs = rs[1:] {
		switch r := rs[0]; {
		case r == '*' || r == '%':
			items = append(items, likeItem{star: true})
		case r == '_':
			items = append(items, likeItem{any: true})
		case r == '[' && len(rs) > 2 && slices.Index(rs[2:], ']') >= 0:
			end := 2 + slices.Index(rs[2:], ']')
			items = append(items, likeItem{set: rs[1:end]})
			rs = rs[end:]
		default:
			items = append(items, likeItem{set: rs[:1]})
		}
	}
	return func(s string) bool {
		text := []rune(strings.ToLower(s))
		// Greedy with one point of return, the last star: quadratic at worst.
		i, t, star, mark := 0, 0, -1, 0
		for t < len(text) {
			switch {
			case i < len(items) && items[i].star:
				star, mark = i, t
				i++
			case i < len(items) && (items[i].any || slices.Contains(items[i].set, text[t])):
				i++
				t++
			case star >= 0:
				mark++
				i, t = star+1, mark
			default:
				return false
			}
		}
		for i < len(items) && items[i].star {
			i++
		}
		return i == len(items)
	}
}
