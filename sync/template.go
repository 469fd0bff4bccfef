package sync

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A token is a placeholder of a template, without its dollar sign.
type token string

const (
	tokenType      token = "TYPE"
	tokenStatus    token = "STATUS"
	tokenInitial   token = "COMPANYINITIAL"
	tokenTerritory token = "TERRITORY"
	tokenMarket    token = "MARKET"
	tokenParent    token = "PARENT"

	tokenName       token = "NAME"
	tokenIdentifier token = "IDENTIFIER"
	tokenID         token = "ID"
)

var (
	levelTokens = []token{tokenType, tokenStatus, tokenInitial, tokenTerritory, tokenMarket, tokenParent}
	leafTokens  = []token{tokenName, tokenIdentifier, tokenID}
)

// keyWord is the word for a token in the key of a group folder.
var keyWord = map[token]string{
	tokenType:      "type",
	tokenStatus:    "status",
	tokenInitial:   "initial",
	tokenTerritory: "territory",
	tokenMarket:    "market",
	tokenParent:    "parent",
}

// part is a piece of a template: either text or a token.
type part struct {
	text  string
	token token
}

// Structure is the template of the levels between the root and the company
// folder. The zero Structure has no levels.
type Structure struct {
	levels [][]part
}

// ParseStructure reads a folder structure such as `$TYPE\$STATUS`. Levels are
// separated by a backslash or a slash. A level is text with the tokens $TYPE,
// $STATUS, $COMPANYINITIAL, $TERRITORY, $MARKET and $PARENT; ${TYPE} sets a
// token off from the text behind it and $$ is a dollar sign.
func ParseStructure(s string) (Structure, error) {
	var st Structure
	if strings.ContainsFunc(strings.TrimSpace(s), unicode.IsControl) {
		return st, fmt.Errorf("folder structure %q has a control character", s)
	}
	text := strings.Trim(strings.ReplaceAll(strings.TrimSpace(s), "/", `\`), `\`)
	if strings.TrimSpace(text) == "" {
		return st, Problem{Text: fmt.Sprintf("folder structure %q has no level", s), Fix: `the usual one is $TYPE\$STATUS`}
	}
	for _, level := range strings.Split(text, `\`) {
		level = strings.TrimSpace(level)
		if strings.Trim(level, ".") == "" { // "", "." and ".." would be no level at all, or another one; rule 2: an empty level is an error
			return Structure{}, fmt.Errorf("folder structure %q has an empty level", s)
		}
		parts, err := parseTemplate(level, levelTokens)
		if err != nil {
			return Structure{}, within(fmt.Sprintf("folder structure %q", s), err)
		}
		st.levels = append(st.levels, parts)
	}
	return st, nil
}

// String returns the structure in its usual spelling.
func (st Structure) String() string {
	levels := make([]string, len(st.levels))
	for i, parts := range st.levels {
		levels[i] = formatTemplate(parts)
	}
	return strings.Join(levels, `\`)
}

// uses reports whether any level has the token.
func (st Structure) uses(t token) bool {
	return slices.ContainsFunc(st.levels, func(parts []part) bool { return slices.Contains(parts, part{token: t}) })
}

// NameTemplate is the template of the company folder's own name.
type NameTemplate struct {
	parts []part
}

// ParseNameTemplate reads a template for company folder names such as `$NAME`
// or `$NAME ($IDENTIFIER)`. Its tokens are $NAME, $IDENTIFIER and $ID.
func ParseNameTemplate(s string) (NameTemplate, error) {
	if strings.ContainsAny(s, `\/`) {
		return NameTemplate{}, Problem{Text: fmt.Sprintf("folder name %q: a company folder has one level", s), Fix: "remove the separator"}
	}
	parts, err := parseTemplate(strings.TrimSpace(s), leafTokens)
	if err != nil {
		return NameTemplate{}, within(fmt.Sprintf("folder name %q", s), err)
	}
	for _, p := range parts {
		if p.token != "" {
			return NameTemplate{parts}, nil
		}
	}
	return NameTemplate{}, Problem{Text: fmt.Sprintf("folder name %q names every company the same", s), Fix: "use " + tokenList(leafTokens)}
}

// String returns the template in its usual spelling.
func (t NameTemplate) String() string { return formatTemplate(t.parts) }

func parseTemplate(s string, valid []token) ([]part, error) {
	var parts []part
	text := func(t string) {
		if n := len(parts); n > 0 && parts[n-1].token == "" {
			parts[n-1].text += t
		} else {
			parts = append(parts, part{text: t})
		}
	}
	for s != "" {
		before, rest, found := strings.Cut(s, "$")
		if before != "" {
			text(before)
		}
		if !found {
			break
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			text("$")
			s = after
			continue
		}
		var name string
		if after, ok := strings.CutPrefix(rest, "{"); ok {
			var closed bool
			if name, s, closed = strings.Cut(after, "}"); !closed {
				return nil, fmt.Errorf("${%s has no closing brace", after)
			}
		} else {
			end := 0
			for end < len(rest) && isTokenByte(rest[end]) {
				end++
			}
			name, s = rest[:end], rest[end:]
		}
		t, err := findToken(name, valid)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{token: t})
	}
	return parts, nil
}

func isTokenByte(b byte) bool {
	return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '_'
}

func findToken(name string, valid []token) (token, error) {
	for _, t := range valid {
		if string(t) == name { // rule 2: an unknown token is an error
			return t, nil
		}
	}
	return "", Problem{Text: "unknown token $" + name, Fix: "valid are " + tokenList(valid) + " (a dollar sign is written $$)"}
}

func tokenList(tokens []token) string {
	names := make([]string, len(tokens))
	for i, t := range tokens {
		names[i] = "$" + string(t)
	}
	return strings.Join(names, ", ")
}

func formatTemplate(parts []part) string {
	var b strings.Builder
	for i, p := range parts {
		switch {
		case p.token == "":
			b.WriteString(strings.ReplaceAll(p.text, "$", "$$"))
		case i+1 < len(parts) && parts[i+1].token == "" && isTokenByte(parts[i+1].text[0]):
			b.WriteString("${" + string(p.token) + "}")
		default:
			b.WriteString("$" + string(p.token))
		}
	}
	return b.String()
}
