package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"spore/internal/sshtest"
)

// A fullDisk is an SFTP server whose disk takes so many bytes and no more.
type fullDisk struct {
	mu      sync.Mutex
	free    int64
	vfsFree uint64
	files   map[string]bool
}

func (d *fullDisk) WriteAt(p []byte, _ int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free -= int64(len(p)); d.free < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func (d *fullDisk) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[r.Filepath] = true
	return d, nil
}

func (d *fullDisk) Filecmd(r *sftp.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method == "Remove" {
		delete(d.files, r.Filepath)
	}
	return nil
}

func (d *fullDisk) StatVFS(*sftp.Request) (*sftp.StatVFS, error) {
	return &sftp.StatVFS{Frsize: 1, Bavail: d.vfsFree, Files: 100, Favail: 100}, nil
}

func (d *fullDisk) Fileread(*sftp.Request) (io.ReaderAt, error)   { return nil, os.ErrPermission }
func (d *fullDisk) Filelist(*sftp.Request) (sftp.ListerAt, error) { return nil, os.ErrPermission }
func (d *fullDisk) client(t *testing.T) *sftp.Client {
	t.Helper()
	leakCheck(t)
	here, there := net.Pipe()
	server := sftp.NewRequestServer(there, sftp.Handlers{FileGet: d, FilePut: d, FileCmd: d, FileList: d})
	go server.Serve()
	c, err := sftp.NewClientPipe(here, here)
	must(t, err)
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c
}

func TestDiskFull(t *testing.T) {
	const size = 1 << 20
	for name, c := range map[string]struct {
		free    int64
		vfsFree uint64
		full    bool
	}{
		"full":           {free: size / 2, vfsFree: 100, full: true},
		"something else": {free: size / 2, vfsFree: 1 << 30},
		"room":           {free: size, vfsFree: 100},
	} {
		t.Run(name, func(t *testing.T) {
			disk := &fullDisk{free: c.free, vfsFree: c.vfsFree, files: map[string]bool{}}
			client := disk.client(t)
			s := &Session{}
			err := s.write(t.Context(), client, "/dir/file", 0o600, size, bytes.NewReader(make([]byte, size)))
			if fails := c.free < size; (err != nil) != fails || disk.files["/dir/file"] == fails {
				t.Fatalf("error %v, files %v", err, disk.files)
			}
			var full *DiskFullError
			if errors.As(err, &full) != c.full {
				t.Fatalf("error %v", err)
			}
			if c.full && (!strings.Contains(err.Error(), "/dir/file") || !strings.Contains(err.Error(), "disk is full")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestUngreeted(t *testing.T) {
	packet := "\x00\x00\x00\x05\x02\x00\x00\x00\x03rest"
	for _, noise := range []string{"", "x", "Welcome\n", strings.Repeat("noise\x00", 1000)} {
		got, err := io.ReadAll(&ungreeted{r: bufio.NewReader(strings.NewReader(noise + packet))})
		if err != nil || string(got) != packet {
			t.Errorf("after %d bytes of noise: %q, %v", len(noise), got, err)
		}
	}
	if _, err := io.ReadAll(&ungreeted{r: bufio.NewReader(strings.NewReader(strings.Repeat("y", maxGreeting+100)))}); err == nil {
		t.Error("endless noise gave no error")
	}
}

// Who follows the directory of a file that is being copied, as the agent does, finds nothing there but files.
func TestFilesAreMadeAside(t *testing.T) {
	for name, opts := range map[string]sshtest.Options{"SFTP": {}, "shell": {NoSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opts)
			j := r.start(r.options())
			waitEvent[Started](j, 1)
			dir := filepath.Join(waitEvent[Probed](j, 1).Run, "aside")
			must(t, j.Push(t.Context(), text("aside/f", "old")))
			next := text("aside/f", "new")
			var there []os.DirEntry
			next.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("ne"), readerFunc(func([]byte) (int, error) {
					var err error
					there, err = os.ReadDir(dir)
					return 0, cmp.Or(err, io.EOF)
				}), strings.NewReader("w"))), nil
			}
			must(t, j.Push(t.Context(), next))
			if len(there) != 1 || there[0].Name() != "f" {
				t.Errorf("while a file was copied its directory held %v", there)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "f")); string(got) != "new" {
				t.Errorf("the file holds %q, %v", got, err)
			}
			j.stopped()
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
