package connectwisetest

import (
	"strconv"
	"strings"
	"time"
)

// The grammar, as the Developer Guide's table and the recorded server answers
// give it. Keywords and names may be in any case; "and" binds tighter.
//
//	or      = and { "or" and }
//	and     = primary { "and" primary }
//	primary = "(" or ")" | name compare
//	compare = ("=" | "!=" | "<" | "<=" | ">" | ">=") literal
//	        | ["not"] ("like" | "contains") literal
//	        | ["not"] "in" "(" literal { "," literal } ")"

// node is a parsed condition: a junction or a comparison.
type node interface{}

type junction struct {
	and  bool
	kids []node
}

type comparison struct {
	name   string // as written, for the error texts
	op     string // "=", ..., "like", "contains", "in"
	not    bool   // not like, not contains, not in
	values []literal
}

type literal struct {
	kind literalKind
	text string
	num  float64
	flag bool
	time time.Time
}

type literalKind string

// The words by which the server's error texts call the kinds.
const (
	litString  literalKind = "string"
	litNumber  literalKind = "numeric"
	litBoolean literalKind = "boolean"
	litDate    literalKind = "datetime"
	litNull    literalKind = "null"
)

// maxDepth bounds the parentheses, so that no request can exhaust the stack.
const maxDepth = 100

type parser struct {
	toks  []token
	pos   int
	depth int
}

// parseConditions returns the tree of s, or nil when s is blank.
func parseConditions(s string) (node, error) {
	toks, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &parser{toks: toks}
	if p.peek().kind == tokEnd {
		return nil, nil
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokEnd {
		return nil, conditionError("Unexpected %s after the condition.", t.text)
	}
	return n, nil
}

func (p *parser) peek() token { return p.toks[p.pos] }

func (p *parser) next() token {
	t := p.toks[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

// keyword takes the next token if it is this word.
func (p *parser) keyword(word string) bool {
	if t := p.peek(); t.kind != tokWord || !strings.EqualFold(t.text, word) {
		return false
	}
	p.pos++
	return true
}

func (p *parser) or() (node, error)  { return p.junction("or", p.and) }
func (p *parser) and() (node, error) { return p.junction("and", p.primary) }

func (p *parser) junction(word string, operand func() (node, error)) (node, error) {
	j := junction{and: word == "and"}
	for {
		n, err := operand()
		if err != nil {
			return nil, err
		}
		j.kids = append(j.kids, n)
		if !p.keyword(word) {
			break
		}
	}
	if len(j.kids) == 1 {
		return j.kids[0], nil
	}
	return j, nil
}

func (p *parser) primary() (node, error) {
	t := p.next()
	if t.kind == tokOpen {
		if p.depth++; p.depth > maxDepth {
			return nil, conditionError("The condition is nested too deeply.")
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.next().kind != tokClose {
			return nil, conditionError("A closing parenthesis is missing.")
		}
		p.depth--
		return n, nil
	}
	if t.kind != tokWord {
		return nil, conditionError("Expected a field name, not %q.", t.text)
	}
	return p.comparison(t.text)
}

func (p *parser) comparison(name string) (node, error) {
	c := comparison{name: name, not: p.keyword("not")}
	switch t := p.next(); {
	case t.kind == tokOperator && !c.not:
		c.op = t.text
	case t.kind == tokWord && isOperatorWord(t.text):
		c.op = strings.ToLower(t.text)
	default:
		return nil, conditionError("%s is not a recognized operator.", t.text)
	}
	if c.op != "in" {
		v, err := p.literal()
		c.values = []literal{v}
		return c, err
	}
	if p.next().kind != tokOpen {
		return nil, conditionError("Expected a list in parentheses after in.")
	}
	for {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		c.values = append(c.values, v)
		switch p.next().kind {
		case tokComma:
		case tokClose:
			return c, nil
		default:
			return nil, conditionError("A closing parenthesis is missing.")
		}
	}
}

func isOperatorWord(s string) bool {
	return strings.EqualFold(s, "like") || strings.EqualFold(s, "contains") || strings.EqualFold(s, "in")
}

func (p *parser) literal() (literal, error) {
	t := p.next()
	switch t.kind {
	case tokString:
		return literal{kind: litString, text: t.text}, nil
	case tokNumber:
		num, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return literal{}, conditionError("%s is not a number. %s", t.text, literalHelp)
		}
		return literal{kind: litNumber, num: num}, nil
	case tokDate:
		when, ok := parseDate(t.text)
		if !ok {
			return literal{}, conditionError("String was not recognized as a valid DateTime.")
		}
		return literal{kind: litDate, time: when}, nil
	case tokWord:
		switch strings.ToLower(t.text) {
		case "true", "false":
			return literal{kind: litBoolean, flag: strings.EqualFold(t.text, "true")}, nil
		case "null":
			return literal{kind: litNull}, nil
		}
	}
	return literal{}, conditionError("Expected a value, not %q. %s", t.text, literalHelp)
}
