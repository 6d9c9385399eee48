//go:build !linux

// Command relaybench needs Linux: batches of datagrams, the kernel's receive times and /proc.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "relaybench: runs on Linux only")
	os.Exit(3)
}
