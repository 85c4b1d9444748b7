package cluster

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"spore/internal/resident"
	"spore/internal/view"
)

// maxRecordLine is how long a line of a host's records may be, in bytes.
const maxRecordLine = 1 << 20

// ErrLost says that a host was lost while it was listened to.
var ErrLost = errors.New("the connection was lost")

// LogsOptions say which records of a host to show.
type LogsOptions struct {
	Lines  int  // so many of the last; 0 is all
	Follow bool // go on with those to come, until ctx is done
	Binary string
}

// Logs hands the records of a host's agents to sink. conn is a connection to that host.
func Logs(ctx context.Context, conn Conn, host string, o LogsOptions, sink view.Sink) error {
	argv := []string{cmp.Or(o.Binary, resident.Standard().Binary()), "resident", "logs", "--lines", strconv.Itoa(o.Lines)}
	if o.Follow {
		argv = append(argv, "--follow")
	}
	stream, err := conn.Stream(ctx, argv...)
	if err != nil {
		return fmt.Errorf("show logs of %s: %w", host, explain(err))
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	err = readRecords(stream, host, sink)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && o.Follow {
		err = ErrLost
	}
	if err != nil {
		return fmt.Errorf("show logs of %s: %w", host, explain(err))
	}
	return nil
}

// readRecords reads one record a line until r ends. What is no record is shown as it is.
func readRecords(r io.Reader, host string, sink view.Sink) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecordLine)
	for lines.Scan() {
		var record view.Record
		if json.Unmarshal(lines.Bytes(), &record) != nil {
			record = view.Record{Time: time.Now(), Type: view.Log, Message: lines.Text()}
		}
		if record.Type == view.Start { // a view writes its own
			continue
		}
		record.Host = host
		sink.Emit(record)
	}
	return lines.Err()
}
