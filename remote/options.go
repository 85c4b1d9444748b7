package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"golang.org/x/time/rate"

	"spore/remote/dial"
)

// A Dialer makes authenticated SSH connections; *dial.Dialer is one.
type Dialer interface {
	Dial(ctx context.Context, t dial.Target) (*dial.Client, error)
}

// A Binary is an executable file of the initiator.
type Binary struct {
	Path    string
	SHA256  string // in lower-case hex; its name in a host's cache
	BLAKE2b string // BLAKE2b-512 in lower-case hex
	Size    int64  // bytes
	// Parcel is the same file as it travels to the hosts that can unpack it; nil has it travel as it is.
	Parcel *Parcel
}

// A File is something to be copied into the run directory: a file, a directory or a symbolic link.
type File struct {
	Name   string      // relative and slash-separated, without "." or ".."
	Mode   fs.FileMode // type and permission bits; without the latter it is the user's alone
	Size   int64       // of a file: bytes that Open gives; what differs is an error
	Open   func() (io.ReadCloser, error)
	Target string // of a symbolic link: what it says
}

// Paths says where things are on the host.
type Paths struct {
	Binary string // the executable
	Run    string // the private run directory
	Store  string // unix:///path or 127.0.0.1:port; "" when no store is offered
}

// Options say what a Session runs on a host. Executable, Args and Marker are required. The
// functions that report (Output, Stderr, Event) are never called at the same time, and must
// neither block nor call the Session.
type Options struct {
	Prefix    string // where the cache, and run directories, live; "" means the first usable of a list
	TmpPrefix string // where run directories live instead
	NoCache   bool   // keep the executable in the run directory, so that nothing stays behind

	// Become says as whom everything runs on the host; nil is as who logs in.
	Become *Become
	// Executable returns the executable for a host of that system, in the words of GOOS and GOARCH.
	Executable func(goos, goarch string) (Binary, error)
	// Files are copied into the run directory before the agent starts.
	Files []File
	// Bandwidth limits how many bytes a second of executables and files are sent, by all the sessions
	// that share it; nil does not.
	Bandwidth *rate.Limiter
	// Dial connects to the store, once for every connection that the host makes to it. nil offers none.
	Dial func(ctx context.Context) (net.Conn, error)

	// Args is the command line that starts an agent.
	Args func(Paths) []string
	// Attach is the command line that relays a living agent's lines to stdout, from a line that
	// begins with Marker on, and takes the same lines on stdin. It exits with 69 (EX_UNAVAILABLE)
	// when no agent lives in the run directory, and with the agent's status when that ends. nil
	// means that an agent is killed and started again once its connection was lost.
	Attach func(Paths) []string
	// Bridge is the command line of a helper that runs ServeBridge for Paths.Store on its stdin
	// and stdout, for hosts whose sshd forwards nothing. nil means there is no such helper.
	Bridge func(Paths) []string

	// Stdin returns what is written to an agent's stdin when it starts; stdin stays open. It is called
	// when everything else is in its place, so it may wait for what is prepared meanwhile. nil writes nothing.
	Stdin    func(ctx context.Context) ([]byte, error)
	Marker   string // the beginning of the first line of an agent's stdout that is its own
	StopLine string // the line on stdin that asks an agent to end, without its newline; "" closes stdin
	// Final reports whether an agent that exits by itself with code has done its job. nil: code is 0.
	Final func(code int) bool
	// Tidy says that an agent that ends with status 0 has taken its run directory away.
	Tidy bool
	// Once makes the agent's unexpected death an error rather than a reason to start it again.
	Once bool

	Output func(line string) // a line of the agent's stdout, as it came: untrusted, see Clean
	Stderr func(line string) // a line of the agent's stderr, as it came: untrusted, see Clean
	Event  func(Event)

	// ConnectTimeout bounds the attempts to connect for the first time; 0 means two minutes.
	ConnectTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Final == nil {
		o.Final = func(code int) bool { return code == 0 }
	}
	if o.Stdin == nil {
		o.Stdin = func(context.Context) ([]byte, error) { return nil, nil }
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 2 * time.Minute
	}
	return o
}

func (o Options) check() error {
	if o.Executable == nil || o.Args == nil || o.Marker == "" {
		return errors.New("check options: Executable, Args and Marker are required")
	}
	if err := o.Become.check(); err != nil {
		return err
	}
	for _, f := range o.Files {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses names that lead out of the run directory or clash with what a session or an
// agent keeps there.
func (f File) check() error {
	if !fs.ValidPath(f.Name) || f.Name == "." {
		return fmt.Errorf("check file %q: the name must be relative and clean", f.Name)
	}
	switch f.Name {
	case "lock", "pid", storeSocket, binaryName:
		return fmt.Errorf("check file %q: the name is taken", f.Name)
	}
	switch f.Mode.Type() {
	case 0, fs.ModeDir, fs.ModeSymlink:
		return nil
	}
	return fmt.Errorf("check file %q: it is neither a file, a directory nor a symbolic link", f.Name)
}

func (f File) mode() fs.FileMode {
	switch {
	case f.Mode.Perm() != 0:
		return f.Mode.Perm()
	case f.Mode.IsDir():
		return 0o700
	}
	return 0o600
}
