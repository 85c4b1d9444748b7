package engine

import (
	"context"
	"sync"
)

// fakeWorld is a world that can be made to fail.
type fakeWorld struct {
	World
	mu       sync.Mutex
	exports  [][]Export // as they were written
	collects [][]string
	onExport func(context.Context) error
	// onCollect is called before the world collects.
	onCollect func(context.Context) error
}

func (w *fakeWorld) Export(ctx context.Context, exports []Export) error {
	w.mu.Lock()
	w.exports = append(w.exports, exports)
	hook := w.onExport
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return w.World.Export(ctx, exports)
}

func (w *fakeWorld) Collect(ctx context.Context, kinds []string, changed func([]Export)) error {
	w.mu.Lock()
	w.collects = append(w.collects, kinds)
	hook := w.onCollect
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return w.World.Collect(ctx, kinds, changed)
}

func (w *fakeWorld) set(onExport, onCollect func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onExport, w.onCollect = onExport, onCollect
}
