package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// signals returns a context that ends at the first ^C or SIGTERM, or when the terminal goes away,
// and one that ends at the second ^C or SIGTERM.
func signals(parent context.Context) (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancel(parent)
	second, cancelSecond := context.WithCancel(parent)
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	hangup := make(chan os.Signal, 1)    // of its own: a closed terminal may send several
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(hangup, syscall.SIGHUP)
	}
	go func() {
		select {
		case <-c:
		case <-hangup:
		case <-first.Done():
		}
		cancelFirst()
		select {
		case <-c:
		case <-second.Done():
		}
		cancelSecond()
	}()
	return first, second, func() {
		signal.Stop(c)
		signal.Stop(hangup)
		cancelFirst()
		cancelSecond()
	}
}

// readers returns s, and a context that ends when nobody reads any more what is written to it: the
// other end of a pipe has gone. Without it that would end the process on the spot.
func readers(parent context.Context, s stdio) (stdio, context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE) // caught, not ignored: what is ignored stays so in commands
	s.out, s.err = outlet{s.out, cancel}, outlet{s.err, cancel}
	return s, ctx, func() {
		signal.Stop(c)
		cancel()
	}
}

// An outlet is a writer that tells when nobody reads any more.
type outlet struct {
	io.Writer
	gone func()
}

func (o outlet) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		o.gone()
	}
	return n, err
}

func isTerminal(w io.Writer) bool {
	f, ok := file(w)
	return ok && term.IsTerminal(int(f.Fd()))
}

// file returns the file that w writes to, if it does.
func file(w io.Writer) (*os.File, bool) {
	if o, ok := w.(outlet); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return f, ok
}
