package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bencoding is what rtpengine's NG protocol is written in: strings, integers, lists and dictionaries.

// appendValue appends a string, an int, a []string or a map[string]any.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
	case int:
		return append(strconv.AppendInt(append(b, 'i'), int64(v), 10), 'e')
	case []string:
		b = append(b, 'l')
		for _, s := range v {
			b = appendValue(b, s)
		}
		return append(b, 'e')
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys) // as bencoding wants
		b = append(b, 'd')
		for _, k := range keys {
			b = appendValue(appendValue(b, k), v[k])
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("no bencoding for %T", v)) // a fault of this program
}

var errBencode = errors.New("not bencoded")

// maxDepth bounds nesting.
const maxDepth = 16

// parse reads one value: a string, an int64, a []any or a map[string]any.
func parse(s string) (any, error) {
	v, rest, err := value(s, maxDepth)
	if err == nil && rest != "" {
		return nil, errBencode
	}
	return v, err
}

func value(s string, depth int) (v any, rest string, err error) {
	if s == "" || depth == 0 {
		return nil, "", errBencode
	}
	switch s[0] {
	case 'i':
		digits, rest, ok := strings.Cut(s[1:], "e")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil {
			return nil, "", errBencode
		}
		return n, rest, nil
	case 'l':
		var list []any
		for s = s[1:]; ; {
			if strings.HasPrefix(s, "e") {
				return list, s[1:], nil
			}
			if v, s, err = value(s, depth-1); err != nil {
				return nil, "", err
			}
			list = append(list, v)
		}
	case 'd':
		m := map[string]any{}
		for s = s[1:]; ; {
			if strings.HasPrefix(s, "e") {
				return m, s[1:], nil
			}
			var k string
			if k, s, err = text(s); err != nil {
				return nil, "", err
			}
			if m[k], s, err = value(s, depth-1); err != nil {
				return nil, "", err
			}
		}
	}
	return text(s)
}

func text(s string) (v, rest string, err error) {
	digits, rest, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return "", "", errBencode
	}
	return rest[:n], rest[n:], nil
}
