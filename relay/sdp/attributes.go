package sdp

import (
	"strings"

	"github.com/pion/sdp/v3"
)

// attribute is one a= line with its line number.
type attribute struct {
	key, value string
	line       int
}

// description is a parsed text: what pion read, with the line numbers that it does not keep.
type description struct {
	media     *sdp.MediaDescription
	mediaLine int
	session   []attribute
	audio     []attribute // of the one m-line
}

// read goes from text to description and refuses what is not one audio line.
func read(s string) (*description, *Error) {
	lines, err := splitLines(s)
	if err != nil {
		return nil, err
	}
	// Counted before the grammar, which would keep a list for each.
	media := 0
	for _, l := range lines {
		if strings.HasPrefix(l.text, "m=") {
			if media++; media > 1 {
				return nil, refuse(l.number, RuleMedia, "there is a second m= line; a call has one m=audio line and nothing else")
			}
		}
	}
	parsed, err := parseGrammar(lines)
	if err != nil {
		return nil, err
	}
	if len(parsed.MediaDescriptions) != 1 {
		return nil, refuse(0, RuleMedia, "there is no m= line; a call needs one m=audio line")
	}
	d := &description{media: parsed.MediaDescriptions[0]}
	attributes := append(append([]sdp.Attribute(nil), parsed.Attributes...), d.media.Attributes...)
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l.text, "m="):
			d.mediaLine = l.number
		case strings.HasPrefix(l.text, "a="):
			if len(attributes) == 0 {
				return nil, refuse(l.number, RuleGrammar, "the attribute line is malformed")
			}
			a := attribute{attributes[0].Key, strings.TrimSpace(attributes[0].Value), l.number}
			attributes = attributes[1:]
			if d.mediaLine == 0 {
				d.session = append(d.session, a)
			} else {
				d.audio = append(d.audio, a)
			}
		}
	}
	return d, nil
}

// one gives the attribute that holds for the audio line: its own, or else the session's. The same key twice at one level with two
// values is refused: there is no way to know which was meant.
func (d *description) one(key, rule string) (attribute, bool, *Error) {
	for _, level := range [][]attribute{d.audio, d.session} {
		var found attribute
		for _, a := range level {
			if a.key != key {
				continue
			}
			if found.line != 0 && found.value != a.value {
				return found, false, refuse(a.line, rule, "a=%s is given again with another value; the first is on line %d", key, found.line)
			}
			if found.line == 0 {
				found = a
			}
		}
		if found.line != 0 {
			return found, true, nil
		}
	}
	return attribute{}, false, nil
}

// all gives every attribute of a key, the session's first.
func (d *description) all(key string) []attribute {
	var found []attribute
	for _, level := range [][]attribute{d.session, d.audio} {
		for _, a := range level {
			if a.key == key {
				found = append(found, a)
			}
		}
	}
	return found
}

func (d *description) has(key string) bool { return len(d.all(key)) > 0 }
