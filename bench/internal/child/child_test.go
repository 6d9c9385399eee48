package child

import (
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
)

func TestWordOfAProgramIsReadAndItsEndSeen(t *testing.T) {
	p, err := Start(Options{}, "sh", "-c", "echo noise; echo api 127.0.0.1:7; cat >/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Word("api", 10*time.Second); err != nil || got != "127.0.0.1:7" {
		t.Errorf("%q, %v", got, err)
	}
	p.Stop()
	if !p.Ended() {
		t.Error("it has not ended")
	}
	if _, err := p.Word("pid", 10*time.Second); err == nil {
		t.Error("a word of a program that is gone")
	}
}

func TestNothingStartsOnAHostThatIsNotThere(t *testing.T) {
	if p, err := Start(Options{Host: hosts.Host("onelane-none-0")}, "true"); err == nil {
		p.Stop()
		t.Error("it started")
	}
}
