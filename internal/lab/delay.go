package lab

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A delayer passes TCP connections on to a target, every byte rtt/2 late each way. What is on
// its way is queued with the time it is due, so the delay does not limit the throughput.
type delayer struct {
	target   string
	rtt      time.Duration
	listener net.Listener
	done     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once stopped
}

// chunks bounds what is in flight in one direction: 4096 reads of at most 64 KiB.
const chunks = 4096

type chunk struct {
	due  time.Time
	data []byte
	end  error // why nothing more comes; data is empty then
}

// Delay listens on addr, of a loopback interface, and passes connections on to target as if it
// were a round trip of rtt away. stop ends the listener and every connection, and returns when
// all is gone.
func Delay(addr, target string, rtt time.Duration) (bound string, stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	d := &delayer{target: target, rtt: rtt, listener: l, done: make(chan struct{}), conns: map[net.Conn]bool{}}
	d.wg.Go(d.accept)
	return l.Addr().String(), sync.OnceFunc(d.stop), nil
}

func (d *delayer) stop() {
	close(d.done)
	d.listener.Close()
	d.mu.Lock()
	for c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	d.wg.Wait()
}

// track makes stop close c; it reports false, having closed c, when that is past.
func (d *delayer) track(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		c.Close()
		return false
	}
	d.conns[c] = true
	return true
}

func (d *delayer) release(c net.Conn) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// wait returns at t, or earlier with false when the delayer stops.
func (d *delayer) wait(t time.Time) bool {
	left := time.Until(t)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.done:
		return false
	}
}

func (d *delayer) accept() {
	for {
		c, err := d.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && d.track(c) {
			d.wg.Go(func() { d.serve(c) })
		}
	}
}

// serve imitates the handshake too: the client here is connected at once, but from afar it would
// be, and begin to send, after one round trip, and the server would know of it another half later.
func (d *delayer) serve(client net.Conn) {
	defer d.release(client)
	start := time.Now()
	if !d.wait(start.Add(d.rtt)) {
		return
	}
	up := d.read(client)
	server, err := d.dial(start.Add(d.rtt + d.rtt/2))
	if err != nil {
		client.Close()
		for range up {
		}
		return
	}
	defer d.release(server)
	down := d.read(server)
	var both sync.WaitGroup
	both.Go(func() { d.write(server, client, up) })
	both.Go(func() { d.write(client, server, down) })
	both.Wait()
}

// dial connects to the target at the given time.
func (d *delayer) dial(at time.Time) (net.Conn, error) {
	if !d.wait(at) {
		return nil, net.ErrClosed
	}
	conn, err := net.DialTimeout("tcp", d.target, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if !d.track(conn) {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// read queues what comes from src, until its end.
func (d *delayer) read(src net.Conn) <-chan chunk {
	queue := make(chan chunk, chunks)
	d.wg.Go(func() {
		defer close(queue)
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			due := time.Now().Add(d.rtt / 2)
			if n > 0 {
				queue <- chunk{due: due, data: append([]byte(nil), buf[:n]...)}
			}
			if err != nil {
				queue <- chunk{due: due, end: err}
				return
			}
		}
	})
	return queue
}

// write passes what was read from src on to dst when it is due: an end of the stream as a
// half-close, a broken connection as a broken connection. It returns when the queue has ended.
func (d *delayer) write(dst, src net.Conn, queue <-chan chunk) {
	broken := false
	for c := range queue {
		if broken || !d.wait(c.due) {
			continue // emptied all the same, so that the reader can end
		}
		switch {
		case c.end == nil:
			if _, err := dst.Write(c.data); err != nil {
				broken = true
				src.Close()
			}
		case errors.Is(c.end, io.EOF):
			dst.(*net.TCPConn).CloseWrite()
		default:
			dst.Close()
		}
	}
}
