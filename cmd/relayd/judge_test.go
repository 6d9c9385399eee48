package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// field reads JSON as relayctl writes it: one object, or the lines of a watch. Attachments are found by their id.
func field(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, "field VAR FILE PATH")
	text, path := ts.ReadFile(args[1]), strings.Split(args[2], ".")
	var at any
	if strings.HasPrefix(text, `{"event"`) || strings.HasPrefix(text, `{"gap"`) {
		for _, e := range eventsOf(ts, text) {
			if e.kind == path[0] {
				at = e.fields
				break
			}
		}
		path = path[1:]
	} else {
		ts.Check(json.Unmarshal([]byte(text), &at))
	}
	for _, name := range path {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			at = nil
			for _, element := range v {
				if m, ok := element.(map[string]any); ok && m["attachment_id"] == name {
					at = m
				}
			}
		default:
			ts.Fatalf("%s has no %s", args[1], args[2])
		}
	}
	if at == nil {
		ts.Fatalf("%s has no %s:\n%s", args[1], args[2], text)
	}
	ts.Setenv(args[0], fmt.Sprint(at))
}

type watched struct {
	kind   string
	fields map[string]any
}

func eventsOf(ts *testscript.TestScript, text string) (all []watched) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var item struct {
			Event map[string]any `json:"event"`
			Gap   map[string]any `json:"gap"`
		}
		ts.Check(json.Unmarshal(lines.Bytes(), &item))
		if item.Gap != nil {
			ts.Fatalf("a gap in the events: %s", lines.Text())
		}
		kind, _ := item.Event["kind"].(string)
		all = append(all, watched{strings.ToLower(strings.TrimPrefix(kind, "EVENT_KIND_")), item.Event})
	}
	return all
}

func events(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "events FILE KIND...")
	var got []string
	for _, e := range eventsOf(ts, ts.ReadFile(args[0])) {
		if e.kind != "quality_measured" { // every 10 s
			got = append(got, e.kind)
		}
	}
	if !slices.Equal(got, args[1:]) {
		ts.Fatalf("events\n%s\nwant\n%s", strings.Join(got, " "), strings.Join(args[1:], " "))
	}
}

var (
	opusChannels = regexp.MustCompile(`Channels: (\d+)`)
	opusLength   = regexp.MustCompile(`Playback length: (\d+)m:(\d+\.\d+)s`)
)

// trimming is said of a recording whose first packet from the phone was late, as on a busy test machine: what the phone said last stands
// behind the end of the call by as much. The length is right all the same.
const trimming = "WARNING: stream 1 has more than one packet of end trimming"

// opusinfo judges a file and gives its length.
func opusinfo(ts *testscript.TestScript, file string) (channels string, length time.Duration) {
	out, err := exec.Command("opusinfo", ts.MkAbs(file)).CombinedOutput()
	if bytes.Contains(out, []byte(trimming)) {
		out, err = bytes.Replace(out, []byte(trimming), nil, 1), nil // opusinfo's exit code says only that it has warned
	}
	if err != nil || strings.Contains(string(out), "WARNING") || strings.Contains(string(out), "ERROR") {
		ts.Fatalf("opusinfo %s: %v\n%s", file, err, out)
	}
	c, l := opusChannels.FindSubmatch(out), opusLength.FindSubmatch(out)
	if c == nil || l == nil {
		ts.Fatalf("opusinfo finds no stream:\n%s", out)
	}
	length, err = time.ParseDuration(string(l[1]) + "m" + string(l[2]) + "s")
	ts.Check(err)
	return string(c[1]), length
}

func recorded(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "recorded FILE CHANNELS")
	if channels, length := opusinfo(ts, args[0]); channels != args[1] {
		ts.Fatalf("%s has %s channels, want %s", args[0], channels, args[1])
	} else {
		ts.Logf("%s: %s channels, %v", args[0], channels, length)
	}
}

func lasts(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 5, "lasts FILE FROM TO LESS MORE")
	from, err := time.Parse(time.RFC3339Nano, args[1])
	ts.Check(err)
	to, err := time.Parse(time.RFC3339Nano, args[2])
	ts.Check(err)
	_, length := opusinfo(ts, args[0])
	want := to.Sub(from)
	if length < want-span(ts, args[3]) || length > want+span(ts, args[4]) {
		ts.Fatalf("%s lasts %v, want %v", args[0], length, want)
	}
	ts.Logf("%s lasts %v, want %v", args[0], length, want)
}

// loud reads a WAV file of 16-bit samples as ffmpeg writes it.
func loud(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, "loud FILE LEAST MOST")
	b := []byte(ts.ReadFile(args[0]))
	at := strings.Index(string(b), "data")
	if at < 0 || at+8 > len(b) {
		ts.Fatalf("%s is no WAV file", args[0])
	}
	channels, rate := int(binary.LittleEndian.Uint16(b[22:])), int(binary.LittleEndian.Uint32(b[24:]))
	b = b[at+8:]
	length := time.Duration(len(b)/2/channels) * time.Second / time.Duration(rate)
	if length < span(ts, args[1]) || length > span(ts, args[2]) {
		ts.Fatalf("%s lasts %v, want %s to %s", args[0], length, args[1], args[2])
	}
	var sum float64
	for i := 0; i+1 < len(b); i += 2 {
		s := float64(int16(binary.LittleEndian.Uint16(b[i:])))
		sum += s * s
	}
	if rms := math.Sqrt(sum / float64(len(b)/2)); rms < 200 { // -44 dBFS; speech and tones are far above, comfort noise below
		ts.Fatalf("%s is as good as silent: RMS %.0f", args[0], rms)
	}
}

func mounted(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "mounted FOLDER KIB")
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(folder, 0o755))
	ts.Check(syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+args[1]+"k"))
	s := on(ts)
	s.mounts = append(s.mounts, folder)
}

// fill writes a file until there is no space left.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "fill FOLDER")
	f, err := os.Create(filepath.Join(ts.MkAbs(args[0]), "filler"))
	ts.Check(err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		ts.Check(err)
	}
}

// secret finds what must not be told in lines of SDP.
var secret = regexp.MustCompile(`a=(?:ice-pwd|ice-ufrag|fingerprint):(.+)`)

// cleanOf looks in files for what is in $PERSONAL, separated by spaces, and for the secrets of the SDPs in the script's folder.
func cleanOf(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "clean-of FILE...")
	canaries := strings.Fields(ts.Getenv("PERSONAL"))
	sdps, err := filepath.Glob(ts.MkAbs("*.sdp"))
	ts.Check(err)
	for _, name := range sdps {
		for _, m := range secret.FindAllStringSubmatch(ts.ReadFile(name), -1) {
			value := strings.TrimSpace(m[1])
			canaries = append(canaries, strings.TrimPrefix(value, "sha-256 "), strings.TrimRight(value, "="))
		}
	}
	if len(canaries) < 10 {
		ts.Fatalf("only %d things to look for: %q", len(canaries), canaries)
	}
	for _, file := range args {
		text := ts.ReadFile(file)
		if text == "" {
			ts.Fatalf("%s is empty: nothing is shown by that", file)
		}
		for line := range strings.Lines(text) {
			for _, c := range canaries {
				if strings.Contains(line, c) {
					ts.Fatalf("%s tells %q: %s", file, c, line)
				}
			}
		}
	}
}
