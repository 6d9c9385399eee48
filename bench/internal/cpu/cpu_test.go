package cpu

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTimeIsThatOfTheProcess(t *testing.T) {
	before := Of(os.Getpid())
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	used := time.Duration(r.Utime.Nano() + r.Stime.Nano())
	after := Of(os.Getpid())
	// getrusage rounds to a microsecond, and its two parts apart.
	if before <= 0 || used < before-2*time.Microsecond || used > after+2*time.Microsecond {
		t.Errorf("getrusage says %v, between %v and %v", used, before, after)
	}
}

func TestProcessThatIsNotThereUsesNothing(t *testing.T) {
	const none = 1 << 23 // above the kernel's greatest process number
	if used := Of(none); used != 0 {
		t.Errorf("it used %v", used)
	}
}
