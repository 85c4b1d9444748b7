//go:build !linux

package lab

import (
	"context"
	"errors"
)

var errNotLinux = errors.New("start lab: needs Linux")

func supported() error { return errNotLinux }

func mountOverlay(_, _, _, _ string) error { return errNotLinux }

func unmount(string) error { return errNotLinux }

func waitGone(context.Context, int) error { return errNotLinux }

func inode(string) (dev, ino uint64, err error) { return 0, 0, errNotLinux }
