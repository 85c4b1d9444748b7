package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/etcd"
)

// child is the variable that makes this test binary a process that changes records: it holds their
// directory and what to call the hosts that it adds.
const child = "SPORE_TEST_RECORDS"

func TestMain(m *testing.M) {
	if dir, name, ok := strings.Cut(os.Getenv(child), ":"); ok {
		if err := addHosts(Records{dir}, name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if socket, ok := os.LookupEnv(socketOf); ok {
		if err := servePipe(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const hostsEach = 20

func addHosts(r Records, name string) error {
	for i := range hostsEach {
		_, err := r.Update("home", func(record *Record) error {
			record.Put(HostRecord{Name: fmt.Sprintf("%s%d", name, i), Address: "h"})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// authority is one for all tests: to make one takes a while.
var authority = sync.OnceValues(func() (pair [2][]byte, err error) {
	a, err := etcd.NewAuthority()
	if err != nil {
		return pair, err
	}
	pair[0] = a.Certificate()
	pair[1], err = a.Key()
	return pair, err
})

func sample(t *testing.T, name string) Record {
	t.Helper()
	pair, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	founded := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	return Record{
		Cluster: etcd.Cluster{ID: "id-of-" + name, Name: name, Founded: founded, Ideal: 3, MemberTimeout: 5 * time.Minute},
		CA:      pair[0], CAKey: pair[1], MarkKey: "mark",
		Hosts:    []HostRecord{{"a", "root@a"}, {"b", "ssh://admin@[2001:db8::1]:2222"}},
		PeerPort: 7480, Become: Become{Method: "sudo", User: "root"}, SSHConfig: "/home/me/ssh_config",
		Made: founded.Add(-time.Minute), Complete: true,
	}
}

func someRecords(t *testing.T, all ...Record) Records {
	t.Helper()
	r := Records{filepath.Join(t.TempDir(), "spore", "clusters")}
	for _, record := range all {
		if err := r.Save(record); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestRecordsKeepWhatTheyAreGiven(t *testing.T) {
	home, work := sample(t, "home"), sample(t, "work.2")
	r := someRecords(t, work, home)
	if got, err := r.Load("home"); err != nil || !reflect.DeepEqual(got, home) {
		t.Errorf("load: %#v (%v), want %#v", got, err, home)
	}
	if got, err := r.List(); err != nil || !reflect.DeepEqual(got, []Record{home, work}) {
		t.Errorf("list: %v (%v)", got, err)
	}
	if err := errors.Join(r.Remove("home"), r.Remove("home")); err != nil {
		t.Error(err)
	}
	if _, err := r.Load("home"); !errors.Is(err, ErrUnknown) {
		t.Errorf("after it was removed: %v", err)
	}
	if got, err := (Records{filepath.Join(t.TempDir(), "none")}).List(); err != nil || len(got) != 0 {
		t.Errorf("where there is no directory: %v (%v)", got, err)
	}
}

func TestPick(t *testing.T) {
	none, one, two := someRecords(t), someRecords(t, sample(t, "home")), someRecords(t, sample(t, "home"), sample(t, "work"))
	for _, tt := range []struct {
		records    Records
		name, want string // the cluster, or what the error says
	}{
		{none, "", "choose cluster: no cluster is known here: spore run"},
		{none, "home", "load cluster home: it is not known here: no cluster is known here: spore run"},
		{one, "", "home"},
		{one, "home", "home"},
		{one, "work", "load cluster work: it is not known here: say --cluster with one of those known here: home"},
		{two, "", "choose cluster: say --cluster with one of those known here: home, work"},
		{two, "work", "work"},
		{two, "../x", "is no name for a cluster"},
	} {
		record, err := tt.records.Pick(tt.name)
		got := record.Cluster.Name
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tt.want || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRecordsArePrivate(t *testing.T) {
	r := someRecords(t, sample(t, "home"))
	modes := map[string]os.FileMode{r.Dir: 0o700, r.Path("home"): 0o600}
	for path, want := range modes {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	entries, err := os.ReadDir(r.Dir)
	if err != nil || len(entries) != 2 { // the record and the lock
		t.Errorf("in the directory: %v (%v)", entries, err)
	}
	if err := os.Chmod(r.Path("home"), 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = r.Load("home")
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
	if records, err := r.List(); err == nil || len(records) != 0 {
		t.Errorf("listed %v (%v)", records, err)
	}
	if err := os.Chmod(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pick("home"); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a directory that is open to others: %v", err)
	}
	if err := r.Save(sample(t, "other")); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a directory that others may read: %v", err)
	}
}

func TestRecordsRefuse(t *testing.T) {
	r := someRecords(t, sample(t, "home"))
	stranger := sample(t, "home")
	stranger.Cluster.ID = "another"
	if err := r.Save(stranger); !errors.Is(err, ErrOther) {
		t.Errorf("a cluster of the same name: %v", err)
	}
	for name, change := range map[string]func(*Record){
		"path":     func(x *Record) { x.Cluster.Name = "../up" },
		"capital":  func(x *Record) { x.Cluster.Name = "Home" },
		"hidden":   func(x *Record) { x.Cluster.Name = ".home" },
		"long":     func(x *Record) { x.Cluster.Name = strings.Repeat("a", 65) },
		"no ID":    func(x *Record) { x.Cluster.ID = "" },
		"no key":   func(x *Record) { x.CAKey = nil },
		"twice":    func(x *Record) { x.Hosts = []HostRecord{{"a", "a"}, {"a", "b"}} },
		"address":  func(x *Record) { x.Hosts = []HostRecord{{"a", "-oProxyCommand=x"}} },
		"password": func(x *Record) { x.Hosts = []HostRecord{{"a", "ssh://root:sesame@a"}} },
	} {
		x := sample(t, "home")
		change(&x)
		if err := r.Save(x); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := r.Load("home"); err != nil || !reflect.DeepEqual(got, sample(t, "home")) {
		t.Errorf("then it is %#v (%v)", got, err)
	}
	if _, err := r.Update("home", func(x *Record) error { x.Cluster.Name = "work"; return nil }); err == nil {
		t.Error("a cluster was given another name")
	}
}

func TestExportAndImport(t *testing.T) {
	mine := someRecords(t, sample(t, "home"))
	content, err := mine.Export("home")
	if err != nil {
		t.Fatal(err)
	}
	want := sample(t, "home")
	want.SSHConfig = ""
	colleague := someRecords(t)
	for range 2 { // a second time it is nothing new
		if got, err := colleague.Import(content, false); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("import: %#v (%v)", got, err)
		}
	}
	if got, err := mine.Import(content, false); err != nil || !reflect.DeepEqual(got, sample(t, "home")) {
		t.Errorf("import of what is there: %#v (%v)", got, err)
	}
	if _, err := colleague.Update("home", func(x *Record) error { x.Drop("a"); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := colleague.Import(content, false); !errors.Is(err, ErrOther) {
		t.Errorf("import over something else: %v", err)
	}
	if _, err := colleague.Import(content, true); err != nil {
		t.Error(err)
	}
	if got, err := colleague.Load("home"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("in the end: %#v (%v)", got, err)
	}
	for name, content := range map[string][]byte{
		"no JSON":   []byte("hello"),
		"stranger":  []byte("{}"),
		"newer":     bytes.Replace(content, []byte(format), []byte("spore-cluster/2"), 1),
		"wrong key": bytes.Replace(content, []byte(`"key": "`), []byte(`"key": "AAAA`), 1),
		"cut off":   content[:len(content)/2],
	} {
		if _, err := someRecords(t).Import(content, true); err == nil {
			t.Errorf("%s: imported", name)
		}
	}
}

// The key shows in nothing that a record is printed by.
func TestRecordsHideTheirKey(t *testing.T) {
	record := sample(t, "home")
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "record", record)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", record, record, record, record), logged.String()} {
		if strings.Contains(text, fmt.Sprint(record.CAKey)) || strings.Contains(text, "CAKey") || !strings.Contains(text, "home") {
			t.Errorf("it is printed as %s", text)
		}
	}
}

// Processes that change one record at the same time lose nothing of each other's.
func TestProcessesTakeTurns(t *testing.T) {
	record := sample(t, "home")
	record.Hosts = nil
	r := someRecords(t, record)
	var all sync.WaitGroup
	for i := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:p%d-", child, r.Dir, i))
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	all.Go(func() {
		if err := addHosts(r, "own"); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for reading := true; reading; { // who only reads sees a whole record at any moment
		select {
		case <-done:
			reading = false
		default:
		}
		if _, err := r.Load("home"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Load("home"); err != nil || len(got.Hosts) != 4*hostsEach {
		t.Errorf("%d hosts (%v), want %d", len(got.Hosts), err, 4*hostsEach)
	}
}

// What cannot be written leaves the old file, and nothing beside it.
func TestWritePrivateLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil { // nothing can be renamed to it
		t.Fatal(err)
	}
	if err := WritePrivate(path, []byte("new")); err == nil {
		t.Error("it was written")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for data, want := range map[string]string{
		"": "/home/me/.local/share/spore/clusters", "/data": "/data/spore/clusters", "relative": "/home/me/.local/share/spore/clusters",
	} {
		t.Setenv("XDG_DATA_HOME", data)
		if got, err := DefaultDir(); err != nil || got != want {
			t.Errorf("with %q: %s (%v), want %s", data, got, err, want)
		}
	}
}
