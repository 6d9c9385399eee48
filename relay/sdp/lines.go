package sdp

import (
	"strings"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
)

// line is one line of the text as it came, numbered as an editor numbers it.
type line struct {
	number int
	text   string
}

// splitLines checks the shape of a text and cuts it. It runs before any parser sees the text, and costs one pass over it.
func splitLines(s string) ([]line, *Error) {
	if len(s) > MaxBytes {
		return nil, refuse(0, RuleSize, "the description has %d bytes; at most %d are accepted", len(s), MaxBytes)
	}
	if strings.TrimSpace(s) == "" {
		return nil, refuse(0, RuleText, "the description is empty")
	}
	if n := strings.Count(s, "\n"); n > MaxLines {
		return nil, refuse(MaxLines+1, RuleSize, "the description has %d lines; at most %d are accepted", n, MaxLines)
	}
	if !strings.Contains(s, "\n") {
		if strings.Contains(s, `\n`) {
			return nil, refuse(1, RuleText, `the line ends are the letters \r\n instead of the characters: unescape the JSON string once more`)
		}
		if strings.Contains(s, "\r") {
			return nil, refuse(1, RuleText, "the lines end in CR alone; send CRLF")
		}
	}
	var lines []line
	for number := 1; s != ""; number++ {
		text, rest, _ := strings.Cut(s, "\n")
		s = rest
		text = strings.TrimSuffix(text, "\r")
		if err := checkLine(number, text); err != nil {
			return nil, err
		}
		if text != "" {
			lines = append(lines, line{number, text})
		}
	}
	return lines, nil
}

func checkLine(number int, text string) *Error {
	switch {
	case strings.Contains(text, "\r"):
		return refuse(number, RuleText, "a CR stands inside the line; end lines with CRLF")
	case !utf8.ValidString(text):
		return refuse(number, RuleText, "the line is not valid UTF-8")
	}
	for i := range len(text) {
		// Controls are never part of a description, and what we echo in an answer must not smuggle any.
		if c := text[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return refuse(number, RuleText, "byte %d of the line is the control character %#02x; remove it", i+1, c)
		}
	}
	if text != "" && (len(text) < 2 || text[1] != '=' || text[0] < 'a' || text[0] > 'z') {
		return refuse(number, RuleGrammar, "the line does not begin with a letter and '=' (RFC 8866 section 5)")
	}
	return nil
}

// join gives the text that the grammar sees: CRLF, no empty lines.
func join(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text)
		b.WriteString("\r\n")
	}
	return b.String()
}

// parseGrammar runs pion's parser. Its errors have no line and quote the input, secrets included, so neither reaches the caller: the
// line is found by bisection, since the parser reads line by line and a text that fails fails in every longer one.
func parseGrammar(lines []line) (*sdp.SessionDescription, *Error) {
	parsed := new(sdp.SessionDescription)
	if parsed.UnmarshalString(join(lines)) == nil {
		return parsed, nil
	}
	good, bad := 0, len(lines)
	for bad-good > 1 {
		middle := (good + bad) / 2
		if new(sdp.SessionDescription).UnmarshalString(join(lines[:middle])) == nil {
			good = middle
		} else {
			bad = middle
		}
	}
	at := lines[bad-1]
	return nil, refuse(at.number, RuleGrammar, "the %q line is malformed or out of order (RFC 8866 section 5)", at.text[:2])
}
