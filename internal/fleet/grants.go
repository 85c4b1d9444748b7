package fleet

import (
	"context"
	"fmt"
	"reflect"

	"spore/engine"
	"spore/etcd"
	"spore/internal/cluster"
)

// grantsOf returns what each host may do in the store.
func (f *fleet) grantsOf(members []*member) map[string]etcd.Grants {
	programs := make(map[string]*engine.Program, len(members))
	if f.Detach != nil {
		for host, m := range f.Detach.neighbours() {
			programs[host] = m.Program
		}
	}
	for _, m := range members {
		programs[m.name] = m.manifest.Program
	}
	return cluster.Grants(programs, f.Kinds)
}

// regrant gives every host whose graph, or whose neighbours' exports, now need it other rights.
func (f *fleet) regrant(ctx context.Context) error {
	store, _ := f.current()
	f.mu.Lock()
	before, after := f.grants, f.grantsOf(f.members)
	f.grants = after
	f.mu.Unlock()
	for _, m := range f.members {
		if reflect.DeepEqual(before[m.name], after[m.name]) {
			continue
		}
		if _, err := store.Admit(ctx, m.name, after[m.name]); err != nil {
			return fmt.Errorf("change grants of %s: %w", m.name, err)
		}
	}
	return nil
}

func (f *fleet) granted(host string) etcd.Grants {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.grants[host]
}
