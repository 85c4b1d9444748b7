package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"spore/internal/view"
	"spore/remote"
)

// A logConn is a host whose logs are a text.
type logConn struct {
	fakeConn
	t    *testing.T
	argv string
	text string
	then error // what the stream ends with; nil is its end
}

func (c *logConn) Stream(_ context.Context, argv ...string) (net.Conn, error) {
	if got := strings.Join(argv, " "); got != c.argv {
		c.t.Errorf("it ran %q, want %q", got, c.argv)
	}
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.WriteString(theirs, c.text)
		if c.then == nil {
			_ = theirs.Close()
		}
	}()
	return &endingConn{ours, c.then}, nil
}

// An endingConn ends with an error of its own where there is one, once all has been read.
type endingConn struct {
	net.Conn
	err error
}

func (c *endingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if strings.HasSuffix(string(b[:n]), "end\n") && c.err != nil {
		return n, c.err
	}
	return n, err
}

const someLogs = `{"format":"spore-events/1","version":"v1","type":"start"}
{"seq":7,"time":"2026-01-02T03:04:05Z","type":"log","host":"liar","message":"hello"}
{"seq":8,"time":"2026-01-02T03:04:05Z","type":"resource","event":{"resource":{"kind":"file","name":"x"},"state":"changed"}}
no record
`

func shownLogs(ctx context.Context, c Conn, o LogsOptions) (records []view.Record, err error) {
	err = Logs(ctx, c, "web", o, view.SinkFunc(func(r view.Record) { records = append(records, r) }))
	return records, err
}

func TestLogs(t *testing.T) {
	c := &logConn{t: t, argv: "/var/lib/spore/bin/spore resident logs --lines 20", text: someLogs}
	records, err := shownLogs(bounded(t), c, LogsOptions{Lines: 20})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r.Type)+" "+r.Host+" "+r.Message)
	}
	if want := []string{"log web hello", "resource web ", "log web no record"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(records) == 3 && (records[1].Event == nil || records[1].Seq != 8) {
		t.Errorf("the event is %+v", records[1])
	}
}

func TestLogsThatEnd(t *testing.T) {
	const argv = "/x resident logs --lines 0 --follow"
	follow := LogsOptions{Follow: true, Binary: "/x"}
	said := &remote.ProgramError{Program: "spore resident logs", Code: 2, Stderr: []string{"this host is not one of a detached fleet"}}
	for name, tt := range map[string]struct {
		then error
		want string
	}{
		"the connection": {nil, "show logs of web: the connection was lost"},
		"the program":    {said, "show logs of web: spore resident logs: this host is not one of a detached fleet"},
	} {
		_, err := shownLogs(bounded(t), &logConn{t: t, argv: argv, text: someLogs + "end\n", then: tt.then}, follow)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancelCause(bounded(t))
	enough := errors.New("enough")
	c := &logConn{t: t, argv: argv, text: someLogs, then: io.ErrUnexpectedEOF} // it goes on for ever
	err := Logs(ctx, c, "web", follow, view.SinkFunc(func(r view.Record) {
		if r.Message == "no record" {
			cancel(enough)
		}
	}))
	if !errors.Is(err, enough) {
		t.Errorf("when nobody wants more: %v", err)
	}
}
