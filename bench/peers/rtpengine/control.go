package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// control speaks the NG protocol to one rtpengine. It is for concurrent use: each request has a socket of its own.
type control struct{ address string }

const (
	// retryTime is how long an answer is waited for before the request is sent again. rtpengine knows a repeated one by its cookie.
	retryTime = 500 * time.Millisecond
	retries   = 10
)

// ask sends one command and gives the answer.
func (c control) ask(ctx context.Context, command string, arguments map[string]any) (map[string]any, error) {
	conn, err := net.Dial("udp4", c.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	arguments["command"] = command
	cookie := strconv.FormatUint(rand.Uint64(), 36) + " "
	request := appendValue([]byte(cookie), arguments)
	b := make([]byte, 64<<10)
	err = errors.New("no answer")
	for try := 0; try < retries && ctx.Err() == nil; try++ {
		if _, e := conn.Write(request); e != nil {
			err = e
		}
		_ = conn.SetReadDeadline(time.Now().Add(retryTime))
		n, e := conn.Read(b)
		if e != nil {
			if ne, ok := e.(net.Error); !ok || !ne.Timeout() {
				pause(ctx, retryTime) // it does not listen yet
			}
			continue
		}
		if answer, ok := strings.CutPrefix(string(b[:n]), cookie); ok {
			return result(command, answer)
		}
	}
	return nil, fmt.Errorf("rtpengine: %s: %w", command, err)
}

func result(command, answer string) (map[string]any, error) {
	v, err := parse(answer)
	if err != nil {
		return nil, fmt.Errorf("rtpengine: %s: %w", command, err)
	}
	m, _ := v.(map[string]any)
	switch m["result"] {
	case "ok", "pong":
		return m, nil
	}
	return nil, fmt.Errorf("rtpengine: %s: %v %v", command, m["result"], m["error-reason"])
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
