package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// serveTCP runs handle for each connection to a listener on loopback.
func serveTCP(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

func dialDelayed(t *testing.T, target string, rtt time.Duration) (*net.TCPConn, func()) {
	t.Helper()
	addr, stop, err := Delay("127.0.0.1:0", target, rtt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn), stop
}

// A byte and its echo take a round trip: that much is a promise, not a measurement.
func TestDelayIsAtLeastTheRoundTrip(t *testing.T) {
	const rtt = 40 * time.Millisecond
	c, _ := dialDelayed(t, serveTCP(t, echo), rtt)
	buf := make([]byte, 1)
	for i := range 3 {
		start := time.Now()
		if _, err := c.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < rtt || buf[0] != byte(i) {
			t.Errorf("byte %d came back as %d after %v, want %v at least", i, buf[0], took, rtt)
		}
	}
}

// A stream keeps its order, and its end arrives as an end: the echo comes back whole.
func TestDelayKeepsOrderAndHalfClose(t *testing.T) {
	want := make([]byte, 8<<20)
	rand.Read(want)
	c, _ := dialDelayed(t, serveTCP(t, echo), 10*time.Millisecond)
	go func() {
		c.Write(want)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes sent, %d other ones came back", len(want), len(got))
	}
}

// Many chunks wait for their time together. Had each waited alone, these would take 500 s: the
// connection's deadline is far below.
func TestDelayDoesNotSerialise(t *testing.T) {
	const n, size = 1000, 16 << 10
	sum := make(chan []byte, 1)
	target := serveTCP(t, func(c *net.TCPConn) {
		h := sha256.New()
		io.Copy(h, c)
		sum <- h.Sum(nil)
	})
	c, _ := dialDelayed(t, target, time.Second)
	h := sha256.New()
	for range n {
		block := make([]byte, size)
		rand.Read(block)
		h.Write(block)
		if _, err := c.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseWrite()
	select {
	case got := <-sum:
		if !bytes.Equal(got, h.Sum(nil)) {
			t.Error("other bytes arrived than were sent")
		}
	case <-time.After(time.Minute):
		t.Fatal("the stream did not arrive")
	}
}

func TestDelayPassesABreakOn(t *testing.T) {
	broken := make(chan error, 1)
	target := serveTCP(t, func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		broken <- err
	})
	c, _ := dialDelayed(t, target, 2*time.Millisecond)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	c.SetLinger(0)
	c.Close()
	select {
	case <-broken:
	case <-time.After(time.Minute):
		t.Fatal("the server never learned that the client had gone")
	}
}

func TestDelayStopEndsConnections(t *testing.T) {
	c, stop := dialDelayed(t, serveTCP(t, echo), time.Hour)
	stop()
	stop() // twice is once
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read after stop: %v", err)
	}
}

func TestDelayRefusedByTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	l.Close()
	c, _ := dialDelayed(t, target, time.Millisecond)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read from a target that refuses gave data")
	}
}
