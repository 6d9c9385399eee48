//go:build !linux

package main

import "log/slog"

// mediaFirst changes nothing here: priorities belong to processes on this system.
func mediaFirst(*slog.Logger) func() { return nil }
