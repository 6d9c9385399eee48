package rtpx

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Nothing below rtpx may look at a clock, take a lock, or open a socket or a file: what it does must follow from its arguments.
func TestNoClockLockSocketOrFile(t *testing.T) {
	// By the first element of the path: of the standard library, what is outside the process or between goroutines.
	refused := []string{"context", "log", "net", "os", "runtime", "sync", "syscall", "unsafe", "crypto", "database", "plugin", "testing"}
	modules := []string{"github.com/pion/rtp", "github.com/pion/rtcp"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, below...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says it better
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			standard := !strings.Contains(first, ".") && !slices.Contains(refused, first)
			if err != nil || !standard && !slices.Contains(modules, path) && !strings.HasPrefix(path, "github.com/onelane/onelane/rtpx") {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" {
				switch call.Sel.Name {
				case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker":
					t.Errorf("%s reads the clock: time.%s", name, call.Sel.Name)
				}
			}
			return true
		})
	}
}
