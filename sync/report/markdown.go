package report

import (
	"fmt"
	"io"
	"strings"

	"cwvault/sync"
)

// Markdown writes a plan as Markdown, for a ticket or a chat. It escapes all text
// from ConnectWise and the vault.
func Markdown(w io.Writer, plan sync.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cwvault plan %s\n\n%s of %s, below %s: %s.\n", shortID(plan.ID),
		markdown(plan.Tenant), markdown(plan.Vault), markdown(plan.Root), Pending(plan.Counts))
	for _, o := range operations {
		first := true
		for _, s := range plan.Steps {
			if s.Op != o.Op {
				continue
			}
			if first {
				fmt.Fprintf(&b, "\n## %s\n\n| from | to | reason |\n|---|---|---|\n", o.Title)
				first = false
			}
			reason := markdown(s.Reason)
			if s.Via != "" {
				reason += "; via " + markdown(s.Via)
			}
			if secrets := secretsText(s); secrets != "" {
				reason += "; " + secrets
			}
			if s.Access != nil {
				reason += "; **access " + markdown(accessText(*s.Access)) + "**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", markdown(s.From), markdown(s.To), reason)
		}
	}
	if len(plan.Held) > 0 {
		b.WriteString("\n## Held\n\n| code | what | reason |\n|---|---|---|\n")
		for _, h := range plan.Held {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", markdown(string(h.Code)), markdown(heldName(h)), markdown(h.Reason))
		}
	}
	for i, a := range AdviceOf(plan) {
		if i == 0 {
			b.WriteString("\n## What to do\n\n| code | what to do |\n|---|---|\n")
		}
		fmt.Fprintf(&b, "| %s | ", markdown(string(a.Code)))
		for _, part := range a.Parts {
			if part.Code {
				b.WriteString(markdownCode(part.Text))
			} else {
				b.WriteString(markdown(part.Text))
			}
		}
		b.WriteString(" |\n")
	}
	if len(plan.Departed) > 0 {
		b.WriteString("\n## Departed\n\n| folder | reason |\n|---|---|\n")
		for _, d := range plan.Departed {
			fmt.Fprintf(&b, "| %s | %s |\n", markdown(d.Path), markdown(d.Reason))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown escapes text so that it has no meaning in Markdown or HTML. CommonMark
// allows a backslash before every ASCII punctuation mark. HTML's own marks become
// entities, for programs that parse HTML before Markdown.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range Plain(s) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '@' || r == ':': // no mentions, no automatic links
			fmt.Fprintf(&b, "&#%d;", r)
		case strings.ContainsRune("\\`*_{}[]()#+-!|~$^=\"'", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// markdownCode writes text as code. Nothing can be escaped in Markdown's code, so other
// text than usual commands is escaped instead.
func markdownCode(s string) string {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(" -_/:=.'", r) {
			return markdown(s)
		}
	}
	return "`" + s + "`"
}
