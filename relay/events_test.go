package relay

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
)

func netAddr(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

// relayGoroutines counts goroutines that belong to the edge: its calls, pion, queues.
func relayGoroutines() int {
	b := make([]byte, 1<<20)
	n := 0
	for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, "onelane/relay") || strings.Contains(g, "pion/ice") || strings.Contains(g, "onelane/ice.") || strings.Contains(g, "onelane/ice/secure") {
			n++
		}
	}
	return n
}

var errEnough = errors.New("enough")

// readAll takes n items of a watch.
func readAll(t *testing.T, l *eventLog, o WatchOptions, n int) (events []Event, tokens []string, gaps []Gap) {
	t.Helper()
	err := l.watch(context.Background(), o, func(e Event, token string) error {
		events, tokens = append(events, e), append(tokens, token)
		if len(events) == n {
			return errEnough
		}
		return nil
	}, func(g Gap) error { gaps = append(gaps, g); return nil })
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return events, tokens, gaps
}

func TestWatchResumesBehindTheTokenAndMissesNothing(t *testing.T) {
	l := newEventLog()
	for range 10 {
		l.append(Event{CallID: "a"})
	}
	first, tokens, _ := readAll(t, l, WatchOptions{Resume: l.token(0)}, 4)
	rest, _, gaps := readAll(t, l, WatchOptions{Resume: tokens[3]}, 6)
	if first[3].Seq != 4 || rest[0].Seq != 5 || rest[5].Seq != 10 || len(gaps) != 0 {
		t.Fatalf("%d, then %d to %d, gaps %v", first[3].Seq, rest[0].Seq, rest[5].Seq, gaps)
	}
}

func TestWatcherThatIsTooFarBehindIsToldWhatIsGone(t *testing.T) {
	l := newEventLog()
	for range keptEvents + 100 {
		l.append(Event{CallID: "a"})
	}
	events, _, gaps := readAll(t, l, WatchOptions{Resume: l.token(50)}, 1)
	if len(gaps) != 1 || gaps[0] != (Gap{From: 51, To: 100}) || events[0].Seq != 101 {
		t.Fatalf("gaps %v, then %d", gaps, events[0].Seq)
	}
}

func TestTokenOfAnotherProcessIsTold(t *testing.T) {
	l, before := newEventLog(), newEventLog()
	l.append(Event{CallID: "a"})
	events, _, gaps := readAll(t, l, WatchOptions{Resume: before.token(7)}, 1)
	if len(gaps) != 1 || gaps[0] != (Gap{}) || events[0].Seq != 1 {
		t.Fatalf("gaps %v, then %d", gaps, events[0].Seq)
	}
	err := l.watch(t.Context(), WatchOptions{Resume: "nonsense"}, nil, nil)
	wantReason(t, err, InvalidArgument, "RESUME_TOKEN")
}

func TestWatchIsFiltered(t *testing.T) {
	l := newEventLog()
	for _, c := range []string{"a", "b", "c", "a"} {
		l.append(Event{CallID: c, Tenant: "t" + c})
	}
	events, _, _ := readAll(t, l, WatchOptions{Resume: l.token(0), CallIDs: []string{"a"}}, 2)
	if events[0].Seq != 1 || events[1].Seq != 4 {
		t.Fatalf("%v", events)
	}
	events, _, _ = readAll(t, l, WatchOptions{Resume: l.token(0), Tenant: "tb"}, 1)
	if events[0].Seq != 2 {
		t.Fatalf("%v", events)
	}
}
