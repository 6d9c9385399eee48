// Package onelane_test holds the tree to its architecture: who may import whom, where the clock is, what things are called, how long
// they get. It reads sources only, so that it also judges files that this system would not build.
package onelane_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/onelane/onelane"

// source is one Go file.
type source struct {
	path      string // from the module root, with slashes
	folder    string
	test      bool
	generated bool
	lines     int
	file      *ast.File
	fset      *token.FileSet
}

func (s source) in(folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return under(s.folder, f) })
}

// under tells whether a folder is f, or, where f ends in /..., f or below.
func under(folder, f string) bool {
	if top, all := strings.CutSuffix(f, "/..."); all {
		return folder == top || strings.HasPrefix(folder, top+"/")
	}
	return folder == f
}

func (s source) imports() []string {
	var result []string
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		result = append(result, p)
	}
	return result
}

// at gives file:line for a message.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// paths lists every file that is, or would be, tracked.
var paths = sync.OnceValue(func() []string {
	var result []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "build", "recordings"}, p) {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			result = append(result, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return result
})

var sources = sync.OnceValue(func() []source {
	var result []source
	for _, p := range paths() {
		if !strings.HasSuffix(p, ".go") {
			continue
		}
		content, err := os.ReadFile(p)
		if err != nil {
			panic(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic(err)
		}
		result = append(result, source{
			path: p, folder: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), generated: ast.IsGenerated(file),
			lines: bytes.Count(content, []byte("\n")), file: file, fset: fset,
		})
	}
	return result
})

// arrows lists what of this module each package may import. A package that is not here has no place in the house yet: give it one.
// Tests may import more, but never bench.
var arrows = []struct {
	from string
	to   []string
}{
	{"rtpx/...", []string{"rtpx/..."}},
	{"ice/udp/...", []string{"ice/udp/..."}},
	{"ice/prefetch", nil},
	{"ice/secure", []string{"ice/prefetch"}},
	{"ice/icetest", []string{"ice", "ice/secure", "rtpx/..."}},
	{"ice", []string{"ice/udp"}},
	{"relay/sdp", nil},
	{"relay/config", nil},
	{"relay/sink/...", []string{"relay/sink/...", "relay/source", "rtpx/..."}},
	{"relay/source/...", []string{"relay/sink", "relay/source/...", "rtpx/..."}},
	{"relay/shard/...", []string{"relay/shard/...", "relay/sink", "relay/source", "ice", "ice/udp/...", "ice/prefetch", "ice/secure", "rtpx/..."}},
	{"relay", []string{"relay/shard", "relay/sink", "relay/source", "relay/sdp", "relay/config", "ice", "ice/udp", "ice/secure", "rtpx/..."}},
	{"relay/control/controlpb", nil},
	{"relay/control/...", []string{"relay/control/...", "relay", "relay/sink"}},
	{"cmd/...", []string{"cmd/...", "relay/...", "ice/...", "rtpx/..."}},
	{"bench/...", []string{"bench/...", "cmd/...", "relay/...", "ice/...", "rtpx/..."}},
}

func TestArrowsPointOneWay(t *testing.T) {
	for _, s := range sources() {
		if s.folder == "." {
			continue
		}
		place := slices.IndexFunc(arrows, func(a struct {
			from string
			to   []string
		}) bool {
			return under(s.folder, a.from)
		})
		if place < 0 {
			t.Errorf("%s: package %s has no row in arrows", s.path, s.folder)
			continue
		}
		for _, p := range s.imports() {
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours || to == s.folder {
				continue
			}
			if under(to, "bench/...") && !s.in("bench/...") {
				t.Errorf("%s imports %s; nothing imports bench", s.path, to)
			}
			if !s.test && !slices.ContainsFunc(arrows[place].to, func(f string) bool { return under(to, f) }) {
				t.Errorf("%s imports %s; %s may import %v", s.path, to, s.folder, arrows[place].to)
			}
		}
	}
}

// owned lists modules that only some packages may use, and why.
var owned = []struct {
	module string
	by     []string
	why    string
}{
	{"github.com/pion/ice/", []string{"ice"}, "pion's agent sets a call up and is then let go; icetest and metasim judge it and must not share its faults"},
	{"github.com/pion/dtls/", []string{"ice", "ice/secure", "ice/icetest", "cmd/metasim/..."}, "keys come out of ice/secure as plain data"},
	{"github.com/pion/srtp/", []string{"ice", "ice/secure", "ice/icetest", "cmd/metasim/..."}, "packets are opened and sealed in one place"},
	{"github.com/pion/webrtc/", nil, "media does not pass through pion's pipeline"},
	{"github.com/pion/sdp/", []string{"relay/sdp"}, "descriptions become plain values in one place"},
	{"github.com/knadh/koanf/", []string{"relay/config"}, "settings become plain fields in one place"},
	{"google.golang.org/grpc", []string{"relay/control/...", "relay/sink/grpcstream", "cmd/..."}, "the core does not know how it is controlled"},
	{"github.com/spf13/cobra", []string{"cmd/..."}, "command lines are parsed in commands"},
}

func TestModulesStayWhereTheyBelong(t *testing.T) {
	for _, s := range sources() {
		if s.test || s.in("bench/...") {
			continue
		}
		for _, p := range s.imports() {
			for _, o := range owned {
				if strings.HasPrefix(p+"/", strings.TrimSuffix(o.module, "/")+"/") && !s.in(o.by...) {
					t.Errorf("%s imports %s, which only %v may: %s", s.path, p, o.by, o.why)
				}
			}
		}
	}
}

// clock is what reads or waits for time.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// uses lists the names of a package that a file uses, with a place for each.
func (s source) uses(importPath string) map[string]string {
	local := ""
	for _, i := range s.file.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == importPath {
			if local = path.Base(p); i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	found := map[string]string{}
	if local == "" {
		return found
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local {
				found[selector.Sel.Name] = s.at(selector)
			}
		}
		return true
	})
	return found
}

func (s source) readsClock() []string {
	used := s.uses("time")
	var found []string
	for _, name := range clock {
		if at, ok := used[name]; ok {
			found = append(found, at+": time."+name)
		}
	}
	return found
}

func TestRtpxIsPure(t *testing.T) {
	impure := []string{"net", "os", "sync", "syscall", "log", "context", "math/rand", "crypto/rand", "runtime", "unsafe"}
	for _, s := range sources() {
		if s.test || !s.in("rtpx/...") {
			continue
		}
		for _, p := range s.imports() {
			first, _, _ := strings.Cut(p, "/")
			switch {
			case strings.HasPrefix(p, module+"/"): // judged by the arrows
			case strings.Contains(first, "."):
				if p != "github.com/pion/rtp" && p != "github.com/pion/rtcp" {
					t.Errorf("%s imports %s; rtpx uses the standard library, pion/rtp and pion/rtcp", s.path, p)
				}
			case slices.ContainsFunc(impure, func(f string) bool { return p == f || strings.HasPrefix(p, f+"/") }):
				t.Errorf("%s imports %s; rtpx has no clock, lock, socket or file", s.path, p)
			}
		}
		for _, found := range s.readsClock() {
			t.Errorf("%s: rtpx reads no clock; take now as an argument", found)
		}
	}
}

func TestShardCoreHasNoClockLockOrSocket(t *testing.T) {
	for _, s := range sources() {
		if s.test || s.folder != "relay/shard" {
			continue
		}
		// The loop, and what is between it and everybody else.
		if slices.Contains([]string{"shard.go", "mailbox.go", "errands.go"}, path.Base(s.path)) {
			continue
		}
		for _, found := range s.readsClock() {
			t.Errorf("%s: only the loop in shard.go reads the clock", found)
		}
		for _, p := range s.imports() {
			if slices.Contains([]string{"sync", "sync/atomic", "net", "os", "log/slog", "log", "context"}, p) {
				t.Errorf("%s imports %s; the core does no I/O and is owned by one goroutine", s.path, p)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: the core starts no goroutine and uses no channel", s.at(n))
			}
			return true
		})
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, s := range sources() {
		if at, ok := s.uses("time")["Sleep"]; ok && s.test {
			t.Errorf("%s: time.Sleep; use testing/synctest, or wait for the thing itself", at)
		}
	}
}

// vague are words that say nothing about what a thing is. "handler" is gRPC's own word, and only there.
var vague = []string{"manager", "handler", "helper", "helpers", "util", "utils", "common", "base", "impl", "info", "data", "wrapper", "processor", "engine", "misc"}

func TestNamesSayWhatThingsAre(t *testing.T) {
	word := regexp.MustCompile(`[a-z]+`)
	for _, s := range sources() {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
		for _, name := range []string{stem, strings.TrimSuffix(s.file.Name.Name, "_test")} {
			for _, w := range word.FindAllString(strings.ToLower(name), -1) {
				if slices.Contains(vague, w) {
					t.Errorf("%s: the name %s says %q; name the noun of the domain", s.path, name, w)
				}
			}
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || s.generated {
				continue
			}
			for _, spec := range g.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					for _, w := range words(typ.Name.Name) {
						if slices.Contains(vague, w) {
							t.Errorf("%s: the type %s says %q; name the noun of the domain", s.at(typ), typ.Name.Name, w)
						}
					}
				}
			}
		}
	}
}

// words cuts a Go name at its capitals, in lower case.
func words(name string) []string {
	var result []string
	for _, w := range regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`).FindAllString(name, -1) {
		result = append(result, strings.ToLower(w))
	}
	return result
}

const (
	maxFileLines     = 400
	maxFunctionLines = 70
)

// long lists what may be longer than that, and why. A name is a file, or a file and a function: "relay/x.go:Server.Run".
var long = map[string]string{}

func TestLongFilesAndFunctionsHaveAReason(t *testing.T) {
	used := map[string]bool{}
	check := func(name string, lines, most int) {
		if lines <= most {
			return
		}
		if used[name] = true; long[name] == "" {
			t.Errorf("%s has %d lines, over %d: cut it by verb, or give the reason in the list", name, lines, most)
		}
	}
	for _, s := range sources() {
		// Tests are mostly tables.
		if s.generated || s.test {
			continue
		}
		check(s.path, s.lines, maxFileLines)
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				check(s.path+":"+functionName(f), s.fset.Position(f.End()).Line-s.fset.Position(f.Pos()).Line+1, maxFunctionLines)
			}
		}
	}
	for name := range long {
		if !used[name] {
			t.Errorf("%s is in the list of long things and is not long: take it out", name)
		}
	}
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	if id, ok := receiver.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// foreign are places of one machine, and left-overs. They are put together here so that this file does not have them.
var foreign = map[string]*regexp.Regexp{
	"a path of one machine":          regexp.MustCompile(`(^|[^\w.$)}])/(` + `work|root|home/\w+)` + `/`),
	"a folder beside the repository": regexp.MustCompile(`(^|[^\w/-])(\.\./)*sha` + `red/`),
	"a left-over":                    regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
}

func TestNothingPointsOutOfTheRepository(t *testing.T) {
	for _, p := range paths() {
		if strings.HasPrefix(p, ".git") && p != ".gitignore" || slices.Contains([]string{".opus", ".ogg", ".wav", ".sum"}, path.Ext(p)) {
			continue
		}
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(content, 0) >= 0 {
			continue
		}
		for i, line := range strings.Split(string(content), "\n") {
			for what, pattern := range foreign {
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q is %s", p, i+1, strings.TrimSpace(found), what)
				}
			}
		}
	}
}
