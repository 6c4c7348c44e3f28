//go:build !linux

package sqlite

var systemChildren map[string]func(path string) error
