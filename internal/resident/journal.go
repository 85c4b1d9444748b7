package resident

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"spore/internal/view"
)

// maxLog is how many bytes of records are in a file before it becomes the older one.
const maxLog = 4 << 20

func (l Layout) logs() string     { return filepath.Join(l.Dir(), "log") }
func (l Layout) log() string      { return filepath.Join(l.logs(), "agent.jsonl") }
func (l Layout) olderLog() string { return l.log() + ".1" }

// records are those of the host's agents on disk: the latest file and the one before it. A record that
// cannot be written is lost, and nothing else.
type records struct {
	layout Layout
	max    int64
	last   int64 // number of the newest record that was there
	file   *os.File
	size   int64
}

func openRecords(l Layout) *records {
	r := &records{layout: l, max: maxLog}
	_ = readRecords(l, 0, func(rec view.Record) error { r.last = max(r.last, rec.Seq); return nil })
	return r
}

func (r *records) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// write never fails.
func (r *records) write(rec view.Record) error {
	line, err := json.Marshal(rec)
	if err == nil {
		err = r.open(int64(len(line)) + 1)
	}
	if err != nil {
		return nil
	}
	n, err := r.file.Write(append(line, '\n'))
	if err != nil { // half a line would spoil the next
		err = r.file.Truncate(r.size)
		n = 0
	}
	r.size += int64(n)
	if err != nil {
		r.close()
		r.file = nil
	}
	return nil
}

// open sees to it that there is a file for another n bytes.
func (r *records) open(n int64) (err error) {
	if r.file != nil && r.size+n > r.max && r.size > 0 {
		if err := os.Rename(r.layout.log(), r.layout.olderLog()); err != nil {
			return err
		}
		r.close()
		r.file = nil
	}
	if r.file != nil {
		return nil
	}
	if err := makeDir(r.layout.logs()); err != nil {
		return err
	}
	if r.file, err = os.OpenFile(r.layout.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		r.file = nil
		return err
	}
	return r.trim()
}

// trim takes away the half of a line that a crash has left.
func (r *records) trim() error {
	text, err := os.ReadFile(r.layout.log())
	if err != nil {
		return err
	}
	r.size = int64(bytes.LastIndexByte(text, '\n') + 1)
	if r.size == int64(len(text)) {
		return nil
	}
	return r.file.Truncate(r.size)
}

// readRecords calls f with the records on disk after the one with number since, in their order.
func readRecords(l Layout, since int64, f func(view.Record) error) error {
	files, err := openLogs(l)
	if err != nil {
		return err
	}
	defer func() { _ = closeAll(files) }()
	for _, file := range files {
		if err := decodeRecords(file, since, f); err != nil {
			return err
		}
	}
	return nil
}

// decodeRecords leaves out what is damaged.
func decodeRecords(in io.Reader, since int64, f func(view.Record) error) error {
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a line without an end is being written
		}
		if err != nil {
			return err
		}
		var rec view.Record
		if json.Unmarshal(line, &rec) != nil || rec.Seq <= since {
			continue
		}
		if err := f(rec); err != nil {
			return err
		}
	}
}

// openLogs opens what there is of both files, the older first.
func openLogs(l Layout) ([]*os.File, error) {
	newer, err := open(l.log()) // first: if it becomes the older one meanwhile, that is noticed
	if err != nil {
		return nil, err
	}
	older, err := open(l.olderLog())
	if err != nil {
		return nil, errors.Join(err, closeAll(newer))
	}
	if len(newer) == 1 && len(older) == 1 && same(newer[0], older[0]) {
		return newer, closeAll(older)
	}
	return append(older, newer...), nil
}

func same(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// open opens a file that may not be there.
func open(path string) ([]*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

func closeAll(files []*os.File) (err error) {
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}
