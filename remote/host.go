package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"spore/remote/dial"
)

const (
	writesInFlight = 64              // SFTP requests at once: what a long round trip needs
	answerIn       = 5 * time.Second // how long a host whose connection is in doubt may be silent
	maxGreeting    = 64 << 10        // bytes that a login script may print in front of SFTP
)

// A host hands out the sessions of one SSH connection, and where sshd allows too few on one, of
// some more.
type host struct {
	client   *ssh.Client
	closer   func() error
	dial     func(context.Context) (*dial.Client, error) // makes another connection
	become   *becomer                                    // nil if everything runs as who logs in
	dead     chan struct{}                               // closed when a connection is gone, and with it all
	patience time.Duration                               // how long to wait for sessions in use to end

	opening chan struct{} // holds a token while the SFTP session is being opened
	turn    chan struct{} // holds the token of who waits for a session that sshd refused

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a session has ended or fallen idle
	open    int           // sessions in use or idle
	pinned  int           // of these, the ones that nobody is to wait for
	scarce  bool          // sshd has refused a session: keep none idle, and open one at a time
	freed   time.Time     // when sshd first refused a session, or one of ours last ended
	files   *sftp.Client
	users   int    // of files
	noFiles error  // why there is no SFTP
	discard func() // ends files
	more    []*dial.Client
	ended   bool // no more connections are made
}

func newHost(client *ssh.Client, closer func() error, dial func(context.Context) (*dial.Client, error)) *host {
	h := &host{
		client:   client,
		closer:   closer,
		dial:     dial,
		dead:     make(chan struct{}),
		patience: patience,
		opening:  make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
	}
	go func() {
		client.Wait()
		h.narrow()
		close(h.dead)
	}()
	return h
}

// close ends the connection and waits until nothing is left of it.
func (h *host) close() {
	h.closer()
	<-h.dead
	h.mu.Lock()
	discard := h.discard
	h.mu.Unlock()
	if discard != nil {
		discard()
	}
}

func (h *host) gone() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

// lost reports whether the connection is lost, which what failed on it may show before it does:
// it asks the host, and cuts a connection on which no answer comes.
func (h *host) lost() bool {
	answered := make(chan error, 1)
	go func() {
		_, _, err := h.client.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
	}()
	timer := time.NewTimer(answerIn)
	defer timer.Stop()
	select {
	case err := <-answered:
		if err == nil {
			return false
		}
	case <-timer.C:
	case <-h.dead:
	}
	h.closer()
	<-h.dead
	return true
}

// idle takes the SFTP session out of use if nobody uses it. The caller holds mu.
func (h *host) idle() func() {
	if h.files == nil || h.users > 0 {
		return nil
	}
	discard := h.discard
	h.files, h.discard = nil, nil
	return discard
}

// sftp returns the connection's one SFTP client, opened when first asked for; release it after use.
func (h *host) sftp(ctx context.Context) (*sftp.Client, func(), error) {
	select {
	case h.opening <- struct{}{}:
		defer func() { <-h.opening }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	h.mu.Lock()
	client, none := h.files, h.noFiles
	if client != nil {
		h.users++
	}
	h.mu.Unlock()
	if none != nil {
		return nil, nil, none
	}
	if client == nil {
		var err error
		if client, err = h.openSFTP(ctx); err != nil {
			return nil, nil, err
		}
	}
	return client, sync.OnceFunc(h.releaseSFTP), nil
}

func (h *host) releaseSFTP() {
	h.mu.Lock()
	h.users--
	var discard func()
	if h.scarce {
		discard = h.idle()
	}
	h.signal()
	h.mu.Unlock()
	if discard != nil {
		discard()
	}
}

func (h *host) openSFTP(ctx context.Context) (*sftp.Client, error) {
	sess, release, err := h.session(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, release)
	defer stop()
	client, err := subsystem(sess)
	if err != nil {
		release()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		err = fmt.Errorf("%w: %w", errNoSFTP, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.noFiles = err
		return nil, err
	}
	h.files, h.users = client, 1
	h.discard = func() {
		client.Close()
		release()
	}
	return client, nil
}

func subsystem(sess *ssh.Session) (*sftp.Client, error) {
	in, err := sess.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := sess.StdoutPipe()
	if err != nil {
		return nil, err
	}
	noise, err := sess.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := sess.RequestSubsystem("sftp"); err != nil {
		return nil, err
	}
	go io.Copy(io.Discard, noise) // unread, it would use up the channel's window
	return sftp.NewClientPipe(&ungreeted{r: bufio.NewReaderSize(out, 64<<10)}, in,
		sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(writesInFlight))
}

// ungreeted drops what login scripts print in front of an SFTP server's first packet: a length
// below 64 KiB, the type 2 (VERSION) and the version 3.
type ungreeted struct {
	r     *bufio.Reader
	found bool
}

func (u *ungreeted) Read(p []byte) (int, error) {
	for dropped := 0; !u.found; dropped++ {
		b, err := u.r.Peek(9)
		if err != nil {
			return 0, err
		}
		if u.found = b[0] == 0 && b[1] == 0 && string(b[4:]) == "\x02\x00\x00\x00\x03"; u.found {
			break
		}
		if dropped > maxGreeting {
			return 0, errors.New("the host prints too much in front of the SFTP protocol: check its login scripts")
		}
		u.r.Discard(1)
	}
	return u.r.Read(p)
}
