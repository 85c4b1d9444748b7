package msg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	journalSocket = "/run/systemd/journal/socket"
	syslogSocket  = "/dev/log"

	facility = 1 << 3 // user-level messages
	tag      = "spore"
)

// send writes one datagram to the socket of where.
func send(ctx context.Context, where, socket string, entry []byte) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixgram", socket)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write to %s: there is no %s on this host", where, socket)
	}
	if err != nil {
		return fmt.Errorf("write to %s: %w", where, err)
	}
	defer conn.Close()
	// A log that is stuck would hold a blocking socket for ever.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(entry); errors.Is(err, syscall.EMSGSIZE) {
		return fmt.Errorf("write to %s: the message is too long for it", where)
	} else if err != nil {
		return fmt.Errorf("write to %s: %w", where, err)
	}
	return nil
}

// journalEntry gives the message in the journal's native protocol.
func journalEntry(s Spec) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if !strings.Contains(value, "\n") {
			fmt.Fprintf(&b, "%s=%s\n", name, value)
			return
		}
		b.WriteString(name + "\n")
		_ = binary.Write(&b, binary.LittleEndian, uint64(len(value))) // a Buffer takes everything
		b.WriteString(value + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
		field(strings.ToUpper(name), s.Fields[name])
	}
	field("MESSAGE", s.Body)
	field("PRIORITY", fmt.Sprint(s.priority()))
	field("SYSLOG_IDENTIFIER", tag)
	return b.Bytes()
}

// syslogEntry gives the message as local programs write it, fields behind it.
func syslogEntry(s Spec) []byte {
	text := strings.ReplaceAll(s.Body, "\n", " ")
	for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
		text += fmt.Sprintf(" %s=%q", name, s.Fields[name])
	}
	return fmt.Appendf(nil, "<%d>%s %s[%d]: %s", facility|s.priority(), time.Now().Format(time.Stamp), tag, os.Getpid(), text)
}
