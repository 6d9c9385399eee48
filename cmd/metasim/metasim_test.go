package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onelane/onelane/cmd/metasim/internal/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrongUsageIsToldApartFromFailure(t *testing.T) {
	t.Setenv("METASIM_APP_SECRET", "canary")
	tests := []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "Stands in for Meta"},
		{"serve --help", 0, "--app-secret"},
		{"sing", 2, "unknown command"},
		{"serve --nope", 2, "unknown flag: --nope; metasim serve --help lists the flags"},
		{"serve more", 2, "unknown command"},
		{"serve --listen 192.0.2.1:1", 2, "--allow-remote"},
		{"serve --listen nowhere", 2, "--listen"},
		{"serve --listen 127.0.0.1:0 --media 192.0.2.1:1", 1, "--media"},
		{"call --digit 5", 2, "want a digit, @ and milliseconds"},
		{"show", 2, "accepts 1 arg"},
		{"show wacid.x --url http://127.0.0.1:1", 1, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out strings.Builder
			if code := run(t.Context(), strings.Fields(tt.args), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d\n%s", code, out.String())
			}
			if strings.Contains(out.String(), "canary") {
				t.Error("the secret is told")
			}
		})
	}
}

// TestServeOnLoopback: the program as it runs, on real sockets, with nobody to answer the phone.
func TestServeOnLoopback(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	folder := filepath.Join(t.TempDir(), "heard")
	done := make(chan error, 1)
	o := serveOptions{listen: "127.0.0.1:0", media: "127.0.0.1:0", recordings: folder, json: true}
	go func() { done <- o.serve(ctx, w, io.Discard) }()
	var told struct {
		HTTP  string   `json:"http"`
		Media []string `json:"media"`
	}
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &told) != nil || len(told.Media) != 1 {
		t.Fatalf("%s %v", line, err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	ask := func(args ...string) (string, int) {
		var out strings.Builder
		code := run(ctx, append(args, "--url", told.HTTP), &out, &out)
		return strings.TrimSpace(out.String()), code
	}
	id, code := ask("call", "--wait=false", "--digit", "5@100")
	if code != 0 || !strings.HasPrefix(id, "wacid.") {
		t.Fatalf("call: %q %d", id, code)
	}
	if out, code := ask("show", id); code != 0 || !strings.Contains(out, "ringing") {
		t.Errorf("show: %s %d", out, code)
	}
	if out, code := ask("hangup", id); code != 0 {
		t.Errorf("hangup: %s %d", out, code)
	}
	out, code := ask("show", id, "--json")
	var v graph.Verdict
	if code != 0 || json.Unmarshal([]byte(out), &v) != nil || v.State != "ended" || v.Violations != 0 {
		t.Errorf("show: %s %d", out, code)
	}
	if _, err := os.Stat(v.Recording); err != nil || filepath.Dir(v.Recording) != folder {
		t.Errorf("recording: %v", err)
	}
	if out, code := ask("call", "--duration", "1ms", "--speech", "/nowhere.opus"); code != 1 {
		t.Errorf("call with a file that is not there: %s", out)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("serve did not end")
	}
}
