package enginetest

import (
	"context"
	"sync"

	"spore/engine"
)

// outside is something that a resource may keep: a value with watchers.
type outside struct {
	mu    sync.Mutex
	value string
	next  chan struct{}
}

func newOutside() *outside { return &outside{value: "undeclared", next: make(chan struct{})} }

func (o *outside) get() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.value
}

func (o *outside) set(value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.value != value {
		o.value = value
		close(o.next)
		o.next = make(chan struct{})
	}
}

func (o *outside) watch(ctx context.Context, changed func()) error {
	for {
		o.mu.Lock()
		next := o.next
		o.mu.Unlock()
		changed()
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

// behaviour is a resource made of functions, so that a test can break one of them.
type behaviour struct {
	out     *outside
	release chan struct{} // closed at the end of the test
	open    func() error
	watch   func(ctx context.Context, changed func()) error
	check   func(ctx context.Context) ([]engine.Change, error)
	apply   func(ctx context.Context, changes []engine.Change) error
	refresh func()
	close   func() error
}

func (b *behaviour) Watch(ctx context.Context, changed func()) error    { return b.watch(ctx, changed) }
func (b *behaviour) Check(ctx context.Context) ([]engine.Change, error) { return b.check(ctx) }
func (b *behaviour) Apply(ctx context.Context, changes []engine.Change) error {
	return b.apply(ctx, changes)
}
func (b *behaviour) Refresh()     { b.refresh() }
func (b *behaviour) Close() error { return b.close() }

// lawful returns a resource that keeps out as all laws want it.
func lawful(out *outside, declared string) *behaviour {
	refreshed := false
	return &behaviour{
		out:     out,
		release: make(chan struct{}),
		open:    func() error { return nil },
		watch:   out.watch,
		check: func(context.Context) ([]engine.Change, error) {
			if found := out.get(); found != declared || refreshed {
				return []engine.Change{{Field: "value", To: declared}}, nil
			}
			return nil, nil
		},
		apply: func(ctx context.Context, _ []engine.Change) error {
			for range 3 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			out.set(declared)
			refreshed = false
			return nil
		},
		refresh: func() { refreshed = true },
		close:   func() error { return nil },
	}
}

type goodSpec struct {
	Value string            `json:"value" doc:"What the outside is to hold." enum:"on,off" default:"on"`
	Map   map[string]string `json:"map,omitempty" doc:"Anything."`
	Ptr   *int              `json:"ptr,omitempty" doc:"A pointer."`
	List  []string          `json:"list,omitempty" doc:"Some words."`
	Every engine.Duration   `json:"every,omitempty" unit:"s" doc:"How long."`
}

func (s goodSpec) Validate() error {
	if s.Value != "on" && s.Value != "off" {
		return engine.Invalid("value", "want on or off")
	}
	return nil
}

func (s goodSpec) WithName(name string) engine.Spec {
	if s.Value == "" {
		s.Value = name
	}
	return s
}
