package view

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// NewLogger returns a logger whose lines become records of sink.
func NewLogger(sink Sink, level slog.Leveler) *slog.Logger {
	return slog.New(&handler{sink: sink, level: level})
}

type handler struct {
	sink   Sink
	level  slog.Leveler
	prefix string // of the groups that are open
	attrs  []slog.Attr
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	attrs := make(map[string]string, len(h.attrs)+r.NumAttrs())
	for _, a := range h.attrs {
		flatten(attrs, "", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		flatten(attrs, h.prefix, a)
		return true
	})
	host := attrs["host"]
	delete(attrs, "host")
	h.sink.Emit(Record{Time: time.Now(), Type: Log, Host: host, Level: r.Level, Message: r.Message, Attrs: attrs})
	return nil
}

func flatten(into map[string]string, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, member := range v.Group() {
			flatten(into, prefix+a.Key+".", member)
		}
		return
	}
	into[prefix+a.Key] = v.String()
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.prefix += name + "."
	return &c
}
