package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// output prints results.
type output struct {
	w    io.Writer
	json bool
}

// object prints one result: as JSON, or as print does.
func (o *output) object(m proto.Message, print func(t *table)) error {
	if !o.json {
		t := &table{w: tabwriter.NewWriter(o.w, 0, 8, 2, ' ', 0)}
		print(t)
		return t.w.Flush()
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var line bytes.Buffer // protojson varies its spaces on purpose; scripts and diffs want them the same
	if err := json.Compact(&line, b); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err = o.w.Write(line.Bytes())
	return err
}

// table is text in columns.
type table struct{ w *tabwriter.Writer }

// row prints cells. What comes from elsewhere must not steer a terminal, so it goes through clean.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

// field prints a name and its value, and nothing where there is no value.
func (t *table) field(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

// clean makes a text safe for a terminal and one line long.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// short gives an enum's value without its prefix, in small letters: CALL_STATE_LIVE is live.
func short(e protoreflect.Enum) string {
	name := e.Descriptor().Values().ByNumber(e.Number())
	if name == nil {
		return strconv.Itoa(int(e.Number()))
	}
	prefix := e.Descriptor().Values().ByNumber(0).Name()
	s := strings.TrimPrefix(string(name.Name()), strings.TrimSuffix(string(prefix), "UNSPECIFIED"))
	if e.Number() == 0 {
		return ""
	}
	return strings.ToLower(s)
}

func span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	v := d.AsDuration()
	if v < time.Second {
		return v.Round(10 * time.Microsecond).String()
	}
	return v.Round(time.Millisecond).String()
}

func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format("2006-01-02 15:04:05.000Z")
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, " ")
}

func counts(m map[string]uint64) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%d", k, m[k]))
	}
	return strings.Join(out, " ")
}

// words gives the fields of a message that are there as name=value, in the order of the proto file.
func words(m protoreflect.Message) []string {
	var out []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); m.Has(f) {
			out = append(out, word(f, m.Get(f))...)
		}
	}
	return out
}

func word(f protoreflect.FieldDescriptor, v protoreflect.Value) []string {
	name := string(f.Name()) + "="
	switch {
	case f.IsMap():
		var out []string
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out = append(out, k.String()+"="+v.String())
			return true
		})
		slices.Sort(out)
		return out
	case f.Kind() == protoreflect.MessageKind:
		if d, ok := v.Message().Interface().(*durationpb.Duration); ok {
			return []string{name + span(d)}
		}
		return words(v.Message())
	case f.Kind() == protoreflect.EnumKind:
		return []string{name + short(enum{f.Enum(), v.Enum()})}
	case f.Kind() == protoreflect.StringKind && strings.ContainsAny(v.String(), " \t"):
		return []string{name + strconv.Quote(v.String())}
	}
	return []string{name + v.String()}
}

// enum is an enum's value that is known only by its descriptor.
type enum struct {
	protoreflect.EnumDescriptor
	number protoreflect.EnumNumber
}

func (e enum) Descriptor() protoreflect.EnumDescriptor { return e.EnumDescriptor }
func (e enum) Type() protoreflect.EnumType             { return nil }
func (e enum) Number() protoreflect.EnumNumber         { return e.number }
