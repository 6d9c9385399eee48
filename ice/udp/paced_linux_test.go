//go:build linux && (amd64 || arm64)

package udp

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func pin(cpu int) {
	runtime.LockOSThread()
	var s unix.CPUSet
	s.Set(cpu)
	if err := unix.SchedSetaffinity(0, &s); err != nil {
		panic(err)
	}
}

var pacedOrigin = time.Now()

func nanotime() int64 { return int64(time.Since(pacedOrigin)) }

func threadCPU() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// generate is the phones, behind one socket.
func generate(fd int, dst []netip.AddrPort, stop func() bool) (sent, back int) {
	names := make([]unix.RawSockaddrInet4, len(dst))
	for i, d := range dst {
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap(d.Port()), Addr: d.Addr().As4()}
	}
	var pkt [132]byte
	var in [1600]byte
	slot := int64(100 * time.Microsecond)
	n := len(names)
	start := nanotime()
	next := start
	i := 0
	var due float64
	for !stop() {
		now := nanotime()
		if now < next {
			ts := unix.NsecToTimespec(next - now)
			_, _, _ = syscall.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		}
		next += slot
		due += float64(n) * 50 / 10000
		for ; due >= 1; due-- {
			_, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&pkt[0])), 132, unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&names[i])), unix.SizeofSockaddrInet4)
			if e == 0 {
				sent++
			}
			i = (i + 1) % n
		}
		for {
			r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&in[0])), 1600, unix.MSG_DONTWAIT, 0, 0)
			if e != 0 || r == 0 {
				break
			}
			back++
		}
	}
	return
}

// BenchmarkPaced compares sets of ports as a relay uses them, in turns of a fraction of a second so that a noisy machine is noisy for
// both: a generator on CPU 1 sends 50 datagrams a second to each port, spread over slots of 100 us; a loop on CPU 0 receives them, works a
// few microseconds on each, sends it back and waits with a deadline each millisecond. It tells the CPU time of the loop's thread a datagram.
// PACED=ports:rounds:milliseconds:set,set says more; a set is "e" (epoll) or "r" (ring).
func BenchmarkPaced(t *testing.B) {
	f := strings.Split("1000:10:300:e,r", ":")
	if s := os.Getenv("PACED"); s != "" {
		f = strings.Split(s, ":")
	}
	ports, _ := strconv.Atoi(f[0])
	rounds, _ := strconv.Atoi(f[1])
	ms, _ := strconv.Atoi(f[2])
	variants := strings.Split(f[3], ",")
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(4)
	gfd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(gfd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
	_ = unix.Bind(gfd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	sa, _ := unix.Getsockname(gfd)
	phone := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))

	type cmd struct {
		dst []netip.AddrPort
		end int64
	}
	cmds := make(chan cmd)
	res := make(chan [2]int)
	go func() {
		pin(1)
		for c := range cmds {
			s, b := generate(gfd, c.dst, func() bool { return nanotime() > c.end })
			res <- [2]int{s, b}
		}
	}()
	defer close(cmds)
	pin(0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
	sets := make([]Ports, len(variants))
	dsts := make([][]netip.AddrPort, len(variants))
	batch := make([]Datagram, 256)
	for i, v := range variants {
		var p Ports
		var err error
		if strings.Contains(v, "r") {
			p, err = newRingPorts(Options{ReceiveBuffer: 64 << 10})
		} else {
			p, err = New(Options{ReceiveBuffer: 64 << 10})
		}
		if err != nil {
			t.Fatal(err)
		}
		sets[i] = p
		for range ports {
			port, a := open(t, p, local4)
			if err := p.Connect(port, phone); err != nil {
				t.Fatal(err)
			}
			dsts[i] = append(dsts[i], a)
		}
		_, _ = p.Receive(batch, 0)
	}
	block, _ := aes.NewCipher(make([]byte, 16))
	aead, _ := cipher.NewGCM(block)
	var nonce [12]byte
	cpu := make([][]float64, len(variants))
	turns := make([][]float64, len(variants))
	losses := make([]int, len(variants))
	runtime.GC()
	for range rounds {
		for i := range variants {
			p := sets[i]
			now := nanotime()
			cmds <- cmd{dsts[i], now + int64(ms)*1e6}
			end := now + int64(ms)*1e6 + 2e6
			c0 := threadCPU()
			k0 := p.Counters()
			for {
				n := nanotime()
				if n > end {
					break
				}
				wait := time.Duration(1e6 - n%1e6)
				got, err := p.Receive(batch, wait)
				if err != nil {
					t.Fatal(err)
				}
				for j := range batch[:got] {
					b := batch[j].Data
					for range 8 { // what a Core does
						aead.Seal(b[:12:len(b)-16], nonce[:], b[12:len(b)-16], b[:12])
					}
				}
				p.Send(batch[:got])
			}
			c1 := threadCPU()
			k1 := p.Counters()
			r := <-res
			// drain what came back late
			var in [1600]byte
			for {
				_, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(gfd), uintptr(unsafe.Pointer(&in[0])), 1600, unix.MSG_DONTWAIT, 0, 0)
				if e != 0 {
					break
				}
				r[1]++
			}
			n := float64(k1.Received - k0.Received)
			cpu[i] = append(cpu[i], float64((c1-c0).Nanoseconds())/n/1000)
			turns[i] = append(turns[i], float64(k1.Wakeups-k0.Wakeups)/n)
			losses[i] += r[0] - r[1]
		}
	}
	for i, v := range variants {
		var ratio []float64
		for k := range cpu[i] {
			ratio = append(ratio, cpu[i][k]/cpu[0][k])
		}
		c := sets[i].Counters()
		fmt.Printf("%-8q ports=%d us/packet %.3f min %.3f  ratio to first %.4f  turns/packet %.3f lost %d again %d unreach %d err %d/%d\n", v, ports, median(cpu[i]), minOf(cpu[i]), median(ratio), median(turns[i]), losses[i],
			c.SendAgain, c.SendUnreachable, c.SendErrors, c.ReceiveErrors)
		_ = sets[i].Shutdown()
	}
}

func median(x []float64) float64 {
	s := append([]float64(nil), x...)
	sort.Float64s(s)
	return s[len(s)/2]
}

func minOf(x []float64) float64 {
	s := append([]float64(nil), x...)
	sort.Float64s(s)
	return s[0]
}
