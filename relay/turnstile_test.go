package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onelane/onelane/ice/icetest"
)

// arrivals is a link on which a datagram always waits. Its deadline is of no use to a Read that has its datagram.
type arrivals struct{ net.Conn }

func (arrivals) Read(b []byte) (int, error)      { return len(b), nil }
func (arrivals) Write(b []byte) (int, error)     { return len(b), nil }
func (arrivals) SetReadDeadline(time.Time) error { return nil }

func TestOnlySoManyHandshakesWorkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, handshakes = 2, 9
		all := make(turns, room)
		var mu sync.Mutex
		working, most, through := 0, 0, 0
		var group sync.WaitGroup
		for range handshakes {
			link := newTurnstile(arrivals{}, all)
			group.Go(func() {
				b := make([]byte, 1)
				for range 3 { // a flight of three datagrams
					if _, err := link.Read(b); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				working++
				most = max(most, working)
				mu.Unlock()
				<-time.After(turnLength / 2) // the work on the flight
				mu.Lock()
				working--
				through++
				mu.Unlock()
				if _, err := link.Write(b); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if most != room || through != handshakes || len(all) != 0 {
			t.Errorf("%d worked at once, %d have to; %d of %d are through; %d turns are still out", most, room, through, handshakes, len(all))
		}
	})
}

func TestHandshakeThatGoesNoFurtherLosesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(turns, 1)
		stuck, next := newTurnstile(arrivals{}, all), newTurnstile(arrivals{}, all)
		b := make([]byte, 1)
		if _, err := stuck.Read(b); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := next.Read(b); err != nil || time.Since(began) != turnLength {
			t.Errorf("the next had its turn after %v: %v", time.Since(began), err)
		}
		stuck.done() // has none to give back
		if len(all) != 1 {
			t.Errorf("%d turns are out, the next has one", len(all))
		}
		next.done()
		next.done()
		if len(all) != 0 {
			t.Errorf("%d turns are out", len(all))
		}
	})
}

func TestDeadlineEndsTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(turns, 1)
		all <- struct{}{} // that nobody gives back
		link := newTurnstile(arrivals{}, all)
		ended := make(chan error)
		go func() {
			_, err := link.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		if err := link.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		<-all
		if err := link.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := link.Read(make([]byte, 1)); err != nil {
			t.Errorf("without a deadline: %v", err)
		}
		link.done()
	})
}

func TestCloseEndsTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(turns, 1)
		all <- struct{}{} // nobody gives this one back
		here, there := net.Pipe()
		defer there.Close()
		link := newTurnstile(here, all)
		ended := make(chan error)
		go func() {
			_, err := link.Read(make([]byte, 1))
			ended <- err
		}()
		if _, err := there.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := link.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a datagram of a link that is closed")
			}
		default:
			t.Error("Read still waits for its turn")
			<-all
			<-ended
		}
	})
}

// Every call that comes at the same time as many others gets its keys, also when one handshake works at a time.
func TestCallsThatComeTogetherAllGetTheirKeys(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.edge.turns = make(turns, 1)
		for i := range 30 {
			w.ring(fmt.Sprint(i), icetest.CallOptions{})
		}
		w.pass(5 * time.Second)
		for i := range 30 {
			if v := w.get(fmt.Sprint(i)); v.State != StateGated {
				w.Errorf("call %d is %s: %s", i, v.State, v.EndMessage)
			}
		}
		if n := len(w.edge.turns); n != 0 {
			w.Errorf("%d turns were not given back", n)
		}
	})
}
