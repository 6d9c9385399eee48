package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// mediaThreads are those that go before others: what relayd does to the thread of each shard, and to no other.
func mediaThreads(pid int) ([]int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("list the threads of relayd: %w", err)
	}
	ranks := map[int]int{}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return nil, fmt.Errorf("thread of relayd: %w", err)
		}
		if r, err := rank(id); err == nil { // one that has ended has no priority
			ranks[id] = r
		}
	}
	return ahead(ranks), nil
}

// ahead lists the threads whose rank is above the lowest. Any thread may be a shard's, also the one that has the process's number.
func ahead(ranks map[int]int) []int {
	lowest := math.MaxInt
	for _, r := range ranks {
		lowest = min(lowest, r)
	}
	var threads []int
	for id, r := range ranks {
		if r > lowest {
			threads = append(threads, id)
		}
	}
	slices.Sort(threads)
	return threads
}

// rank is a thread's priority as the system call counts, 1 (nice 19) to 40 (nice -20).
func rank(thread int) (int, error) { return unix.Getpriority(unix.PRIO_PROCESS, thread) }

// pin ties a thread of any process to a CPU.
func pin(thread, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(thread, &set); err != nil {
		return fmt.Errorf("run thread %d on CPU %d: %w", thread, cpu, err)
	}
	return nil
}
