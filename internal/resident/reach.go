package resident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// reachPatience is how long a port may take to answer.
const reachPatience = 3 * time.Second

// Try tries all targets at once; the answers come in their order.
func (r Reach) Try(ctx context.Context) []Reached {
	out := make([]Reached, len(r.Targets))
	var tries sync.WaitGroup
	for i, t := range r.Targets {
		tries.Go(func() {
			out[i].Target = t
			if err := t.try(ctx); err != nil {
				out[i].Error = err.Error()
			}
		})
	}
	tries.Wait()
	return out
}

func (t Target) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return unreachable(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	said := make([]byte, len(t.Token))
	if _, err := io.ReadFull(conn, said); err != nil && ctx.Err() != nil {
		return errors.New("it took the connection and said nothing: another program listens there, or a proxy is in between")
	}
	if string(said) != t.Token {
		return errors.New("another program or host answers there")
	}
	return nil
}

// unreachable says why a port was not reached in words that tell where to look.
func unreachable(err error) error {
	var name *net.DNSError
	var net net.Error
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("the name %s cannot be looked up there: %s", name.Name, name.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there, or a firewall refuses it")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("no route to host")
	case errors.As(err, &net) && net.Timeout():
		return fmt.Errorf("no answer within %v: is there a firewall that drops it?", reachPatience)
	}
	return err
}

// Serve says the token to whoever connects to the ports, until in ends. ready is called once both
// are listened on.
func (l Listen) Serve(ctx context.Context, in io.Reader, ready func() error) error {
	for _, port := range []int{l.Port, l.Port + 1} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on port %d: another program does already; choose others with --peer-port", port)
		}
		if err != nil {
			return fmt.Errorf("listen on port %d: %w", port, err)
		}
		defer listener.Close()
		go l.greet(listener)
	}
	if err := ready(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return nil
}

func (l Listen) greet(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(reachPatience))
		_, _ = io.WriteString(conn, l.Token) // fits in the socket's buffer
		conn.Close()
	}
}
