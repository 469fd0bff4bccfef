package sync

import (
	"fmt"
	"strings"
)

func (d *differ) createReason(i nodeAt) string {
	n, o := &d.nodes[i], &d.outcomes[i]
	reason := "new company"
	switch {
	case n.key == archiveKey:
		reason = "archive folder for departed companies"
	case n.wanted == nil:
		words := make([]string, len(d.groups[i].ids))
		for j, s := range d.groups[i].ids {
			words[j] = s.word() + " " + d.w.refs.name(s)
		}
		reason = "group folder for " + strings.Join(words, ", ")
	case d.known(n.key):
		reason = "made again on request"
	}
	if o.note != "" {
		reason += "; " + o.note
	}
	return reason
}

// word names a segment's kind in a reason.
func (s segment) word() string {
	if s.token == "" {
		return "the text"
	}
	return keyWord[s.token]
}

func (d *differ) changeReason(i nodeAt, op Op) string {
	n, o := &d.nodes[i], &d.outcomes[i]
	if n.back != nil {
		return n.back.why
	}
	f := &d.folders[n.folder]
	var why []string
	drifted := d.drifted(i) // rule 8: drift is put back, and said
	switch {
	case drifted:
		why = append(why, "a person moved or renamed the folder; ConnectWise has not changed, so it is put back")
	case op == OpArchive:
		id, _ := n.key.CompanyID()
		why = append(why, d.departedReason(id))
	case op == OpMove:
		why = append(why, d.moveReason(i))
	}
	if f.Name != o.name && !drifted {
		if d.isGroup(i) && len(d.groups[i].ids) == 1 && d.groups[i].ids[0].token != "" {
			why = append(why, fmt.Sprintf("%s renamed from %s to %s", keyWord[d.groups[i].ids[0].token], f.Name, o.name))
		} else {
			why = append(why, "name changed")
		}
	}
	if o.note != "" {
		why = append(why, o.note)
	}
	return strings.Join(why, "; ")
}

// moveReason compares the group that holds a folder with the one that should.
func (d *differ) moveReason(i nodeAt) string {
	n := &d.nodes[i]
	parent := d.parent[n.folder]
	if parent < 0 || !d.ours(parent) || !d.folders[parent].Mark.Key.IsGroup() {
		return "the folder was not in its group folder"
	}
	from := d.folders[parent].Mark.Key
	if from == archiveKey {
		return "the company is back"
	}
	to := d.groupKey(i)
	a, okA := d.w.parseGroupKey(from)
	b, okB := d.w.parseGroupKey(to)
	switch {
	case !okA || !okB:
		return "the folder structure changed"
	case len(a) != len(b):
		return "the folder was not in its group folder"
	}
	var why []string
	for l := range a {
		for t := range a[l] {
			if t < len(b[l]) && a[l][t] != b[l][t] {
				why = append(why, fmt.Sprintf("%s changed from %s to %s", b[l][t].word(), d.w.refs.name(a[l][t]), d.w.refs.name(b[l][t])))
			}
		}
	}
	if why == nil {
		return "it belongs in another group folder now"
	}
	return strings.Join(why, "; ")
}

func (d *differ) departedReason(company int) string {
	if why, out := d.w.out[company]; out {
		return why
	}
	return "deleted in ConnectWise, or no longer visible to the API member"
}
