//go:build linux

package proc

import (
	"os"
	"testing"
	"time"
)

func TestStatIsReadBehindTheCommandName(t *testing.T) {
	// A command may be called anything, so also this.
	const stat = "4242 (re) lay) 1 (d) S 1 4242 4242 0 -1 4194304 5000 0 12 0 1234 567 0 0 20 0 9 0 123456 1300000000 2048 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
	var u Usage
	if err := u.stat(stat); err != nil {
		t.Fatal(err)
	}
	want := Usage{User: 12340 * time.Millisecond, System: 5670 * time.Millisecond, Threads: 9, Resident: 2048 * int64(os.Getpagesize())}
	if u != want {
		t.Errorf("got %+v, want %+v", u, want)
	}
	if u.CPU() != 18010*time.Millisecond {
		t.Errorf("CPU is %v", u.CPU())
	}
}

func TestBrokenStatIsAnError(t *testing.T) {
	for _, stat := range []string{"", "1 relayd S", "1 (relayd) S 1 2 3", "1 (relayd) S 1 1 1 0 -1 0 0 0 0 0 x 0 0 0 20 0 9 0 1 1 1 1"} {
		var u Usage
		if err := u.stat(stat); err == nil {
			t.Errorf("%q was read as %+v", stat, u)
		}
	}
}

func TestLimitOfOpenFiles(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             127000               127000               processes \n"
	for limits, want := range map[string]int{
		head + "Max open files            20000                1048576              files     \n": 20000,
		head + "Max open files            unlimited            unlimited            files     \n": -1,
		head: 0,
	} {
		if got := descriptorLimit(limits); got != want {
			t.Errorf("got %d, want %d from %q", got, want, limits)
		}
	}
}

func TestContextSwitchesAreFound(t *testing.T) {
	const status = "Name:\trelayd\nvoluntary_ctxt_switches:\t150545\nnonvoluntary_ctxt_switches:\t545\n"
	if n := field(status, "voluntary_ctxt_switches:"); n != 150545 {
		t.Errorf("got %d", n)
	}
}

func TestOwnProcessIsRead(t *testing.T) {
	u, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.Resident < 1<<20 || u.Threads < 1 || u.Descriptors < 3 {
		t.Errorf("got %+v", u)
	}
	if DescriptorLimit(os.Getpid()) == 0 {
		t.Error("no limit of open files")
	}
	if _, err := Read(1 << 30); err == nil {
		t.Error("a process that is not there was read")
	}
}

func TestLongestRangeOfFreePorts(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0100007F:2710 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  101: 0100007F:4E20 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  102: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
`
	for _, c := range []struct {
		ephemeral   string
		first, last int
	}{
		{"32768\t60999\n", 20001, 32767}, // 10000 and 20000 are taken
		{"10001\t65535\n", 4096, 9999},
		{"", 20001, 65535},
	} {
		if first, last := freePorts(c.ephemeral, []string{table}); first != c.first || last != c.last {
			t.Errorf("with %q: %d-%d, want %d-%d", c.ephemeral, first, last, c.first, c.last)
		}
	}
	if first, last, err := FreePorts(); err != nil || first < firstPort || last < first {
		t.Errorf("here: %d-%d, %v", first, last, err)
	}
}
