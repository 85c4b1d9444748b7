package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"spore/remote/dial"
)

// A Session runs an agent on one host. New makes one, Run runs it, once; the other methods may
// be called from any goroutine meanwhile.
type Session struct {
	id     string // 16 characters, random
	target dial.Target
	dialer Dialer
	o      Options
	become *becomer // nil if everything runs as who logs in

	sent     atomic.Int64
	speaking sync.Mutex // held while one of the reporting functions runs

	stopOnce sync.Once
	stop     chan struct{}   // closed when Stop is called
	bound    context.Context // of Stop; to be read once stop is closed
	done     chan struct{}   // closed when Run has returned
	wg       sync.WaitGroup  // goroutines that end with their connection

	mu    sync.Mutex
	files []File
	live  *link         // what Push works on; nil while there is no connection
	news  chan struct{} // closed and replaced when live changes

	// What follows belongs to Run's goroutine.
	at      *place // what lies on the host; nil when nothing does
	copied  bool   // at holds the files
	sure    bool   // at will not be unmade by the script that made it
	alive   bool   // an agent may be living on the host
	ran     bool   // an agent has been started, as far as we know
	started bool   // an agent has reported for duty at some time
	tidy    bool   // the last agent has taken its run directory away
	cause   error  // why the next agent replaces another
	fails   int    // rounds in a row in which no agent reported for duty
	retry   backoff
	port    int // the loopback port on which the store was offered last
	res     Result
}

// A Result is what became of a session.
type Result struct {
	ExitCode   int   // the agent's exit status; -1 when it did not end by itself
	BytesSent  int64 // bytes of executable, files, stdin and store traffic sent to the host
	Restarts   int   // agents started in place of another
	Reconnects int   // connections made after the first
}

// A link is a connection with everything in its place.
type link struct {
	host  *host
	place *place
	ctx   context.Context // ends when the link is retired
	users sync.WaitGroup
}

// New returns a Session that is yet to be Run.
func New(target dial.Target, d Dialer, o Options) *Session {
	return &Session{
		id:     strings.ToLower(rand.Text()[:16]),
		target: target,
		dialer: d,
		o:      o.withDefaults(),
		become: newBecomer(o.Become, target.Name()),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		files:  slices.Clone(o.Files),
		news:   make(chan struct{}),
		res:    Result{ExitCode: -1},
	}
}

// Run runs the session until the agent has ended for good, Stop was called, or ctx ends. The end
// of ctx kills the agent and cleans up, within about three seconds. Errors are *StepErrors; after
// the end of ctx they wrap its cause. Run returns once nothing of the session is left running.
func (s *Session) Run(ctx context.Context) (Result, error) {
	defer close(s.done)
	if err := s.o.check(); err != nil {
		return s.res, err
	}
	err := s.supervise(ctx)
	s.res.BytesSent = s.sent.Load()
	return s.res, err
}

// Stop asks the agent to end, and Run to return, and waits until it has. When ctx ends first the
// agent is killed. Either way the host is cleaned up, which may take three seconds more. Only the
// first call's ctx counts.
func (s *Session) Stop(ctx context.Context) {
	s.stopOnce.Do(func() {
		s.bound = ctx
		close(s.stop)
	})
	<-s.done
}

func (s *Session) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// until returns a context that ends with ctx, and when Stop is called: at once, or if patient
// only when the time that Stop was given is over.
func (s *Session) until(ctx context.Context, patient bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if s.stopping() && !patient {
		cancel(errStopped)
	}
	go func() {
		select {
		case <-s.stop:
		case <-ctx.Done():
			return
		}
		if patient {
			select {
			case <-s.bound.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel(errStopped)
	}()
	return ctx, func() { cancel(nil) }
}

// report calls one of the functions that take lines.
func (s *Session) report(f func(string), line string) {
	if f == nil {
		return
	}
	s.speaking.Lock()
	defer s.speaking.Unlock()
	f(line)
}

func (s *Session) event(e Event) {
	if s.o.Event == nil {
		return
	}
	s.speaking.Lock()
	defer s.speaking.Unlock()
	s.o.Event(e)
}

func (s *Session) warn(format string, args ...any) {
	s.event(Warning{Text: Clean(fmt.Sprintf(format, args...))})
}

// publish lets Push work on a link; the result ends that, and waits until nobody does any more.
func (s *Session) publish(h *host) (retire func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l := &link{host: h, place: s.at, ctx: ctx}
	s.setLive(l)
	return func() {
		s.setLive(nil)
		cancel(errDropped)
		l.users.Wait()
	}
}

func (s *Session) setLive(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = l
	close(s.news)
	s.news = make(chan struct{})
}

// use returns the live link, if there is one, and what tells that there is another.
func (s *Session) use() (*link, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.users.Add(1)
	}
	return s.live, s.news
}

// onLink calls f with the live link, waiting for one, and again with the next if the link is
// retired under it.
func (s *Session) onLink(ctx context.Context, f func(context.Context, *link) error) error {
	for {
		l, news := s.use()
		if l != nil {
			err := l.do(ctx, f)
			if err == nil || ctx.Err() != nil || l.ctx.Err() == nil && !l.host.lost() {
				return err
			}
		}
		select {
		case <-news:
		case <-s.done:
			return ErrEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do calls f with a context that ends with ctx or with the link.
func (l *link) do(ctx context.Context, f func(context.Context, *link) error) error {
	defer l.users.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(l.ctx, func() { cancel(errDropped) })
	defer stop()
	return f(ctx, l)
}
