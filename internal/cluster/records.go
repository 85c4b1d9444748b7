package cluster

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnknown says that there is no record of a cluster.
var ErrUnknown = errors.New("it is not known here")

// ErrOther says that a record would have replaced that of another cluster, or of another state of it.
var ErrOther = errors.New("another record of that name is there")

const suffix = ".json"

// Records are the records that a person keeps, one file a cluster, in a directory that is private.
// What changes them takes turns with other processes.
type Records struct{ Dir string }

// DefaultDir is where a person's records are: in $XDG_DATA_HOME, or ~/.local/share.
func DefaultDir() (string, error) {
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // as the specification has it, a relative one is not there
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the directory of clusters: %w", err)
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "spore", "clusters"), nil
}

// Path is the file of the cluster called name.
func (r Records) Path(name string) string { return filepath.Join(r.Dir, name+suffix) }

// Load returns the record of the cluster called name; ErrUnknown if there is none.
func (r Records) Load(name string) (Record, error) {
	record, err := r.load(name)
	if err != nil {
		return Record{}, fmt.Errorf("load cluster %s: %w", name, err)
	}
	return record, nil
}

func (r Records) load(name string) (Record, error) {
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	err := checkDir(r.Dir) // before anything is done to a cluster that could not be noted then
	var content []byte
	if err == nil {
		content, err = readPrivate(r.Path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, ErrUnknown
	}
	if err != nil {
		return Record{}, err
	}
	record, err := Decode(content)
	if err != nil {
		return Record{}, fmt.Errorf("%s: %w", r.Path(name), err)
	}
	if record.Cluster.Name != name {
		return Record{}, fmt.Errorf("%s is the record of a cluster called %s", r.Path(name), record.Cluster.Name)
	}
	return record, nil
}

// List returns the records by name. Those that cannot be read are told of in the error, and the
// others returned.
func (r Records) List() ([]Record, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var records []Record
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || CheckName(name) != nil {
			continue
		}
		record, err := r.Load(name)
		if err == nil {
			records = append(records, record)
		} else if !errors.Is(err, ErrUnknown) { // it went this moment
			errs = append(errs, err)
		}
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Cluster.Name, b.Cluster.Name) })
	return records, errors.Join(errs...)
}

// Pick returns the record of the cluster called name, or, if name is empty, the only one there is.
func (r Records) Pick(name string) (Record, error) {
	if name != "" {
		record, err := r.Load(name)
		if errors.Is(err, ErrUnknown) {
			return Record{}, fmt.Errorf("%w: %s", err, r.known())
		}
		return record, err
	}
	records, err := r.List()
	if err != nil {
		return Record{}, err
	}
	if len(records) == 1 {
		return records[0], nil
	}
	return Record{}, fmt.Errorf("choose cluster: %s", r.known())
}

// NoneKnown says that there is no record, and how to come by one.
const NoneKnown = "no cluster is known here: spore run --remote GRAPH --detach leaves one behind, spore cluster import takes one over"

// known says what to choose from, and how.
func (r Records) known() string {
	records, _ := r.List() // what cannot be read cannot be chosen
	if len(records) == 0 {
		return NoneKnown
	}
	names := make([]string, len(records))
	for i, record := range records {
		names[i] = record.Cluster.Name
	}
	return "say --cluster with one of those known here: " + strings.Join(names, ", ")
}

// Save writes a record, in place of an earlier one of the same cluster. That of another cluster of
// the name stays: ErrOther.
func (r Records) Save(record Record) error {
	return r.change("save", record.Cluster.Name, func() error {
		old, err := r.load(record.Cluster.Name)
		switch {
		case err == nil && old.Cluster.ID != record.Cluster.ID:
			return ErrOther
		case err != nil && !errors.Is(err, ErrUnknown):
			return err
		}
		return r.write(record)
	})
}

// Update changes the record of the cluster called name and returns it as it is then. No other process
// writes it meanwhile; if change returns an error nothing is written.
func (r Records) Update(name string, change func(*Record) error) (record Record, err error) {
	err = r.change("update", name, func() error {
		if record, err = r.load(name); err != nil {
			return err
		}
		if err := change(&record); err != nil {
			return err
		}
		if record.Cluster.Name != name {
			return errors.New("a cluster keeps its name")
		}
		return r.write(record)
	})
	return record, err
}

// Remove takes the record of the cluster called name away, if there is one.
func (r Records) Remove(name string) error {
	return r.change("remove", name, func() error {
		if err := os.Remove(r.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// Export returns the record of the cluster called name, as a colleague imports it: without the path
// of an ssh_config, which is this machine's.
func (r Records) Export(name string) ([]byte, error) {
	record, err := r.Load(name)
	if err != nil {
		return nil, err
	}
	return portable(record).Encode()
}

func portable(record Record) Record {
	record.SSHConfig = ""
	return record
}

// Import keeps what Export returned. One that says something else under the same name stays, which is
// ErrOther, but with force.
func (r Records) Import(content []byte, force bool) (Record, error) {
	record, err := Decode(content)
	if err == nil {
		_, err = record.Authority()
	}
	if err != nil {
		return Record{}, fmt.Errorf("import cluster: %w", err)
	}
	err = r.change("import", record.Cluster.Name, func() error {
		old, err := r.load(record.Cluster.Name)
		switch {
		case err == nil && same(portable(old), portable(record)):
			record = old
			return nil
		case !force && err == nil:
			return ErrOther
		case !force && !errors.Is(err, ErrUnknown):
			return err
		}
		return r.write(record)
	})
	return record, err
}

// same says whether two records are written alike.
func same(a, b Record) bool {
	x, errA := a.Encode()
	y, errB := b.Encode()
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// change runs f while no other process changes a record.
func (r Records) change(what, name string, f func() error) error {
	err := CheckName(name)
	if err == nil {
		var unlock func()
		if unlock, err = lock(r.Dir); err == nil {
			defer unlock()
			err = f()
		}
	}
	if err != nil {
		return fmt.Errorf("%s cluster %s: %w", what, name, err)
	}
	return nil
}

func (r Records) write(record Record) error {
	content, err := record.Encode()
	if err != nil {
		return err
	}
	return WritePrivate(r.Path(record.Cluster.Name), content)
}
