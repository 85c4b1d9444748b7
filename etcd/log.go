package etcd

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A logCore is a zap core that writes to a slog handler. To a person who runs spore, what etcd
// calls information, and most of its warnings (a slow disk, a connection that broke), are details,
// so they are written at debug; its errors are warnings, and debug too once quiet is set.
type logCore struct {
	handler slog.Handler
	fields  []zapcore.Field
	quiet   *atomic.Bool
}

// newZap returns a zap logger that writes to log. Where etcd would end the process it calls fatal
// and ends the goroutine alone.
func newZap(log *slog.Logger, quiet *atomic.Bool, fatal func(message string)) *zap.Logger {
	hook := fatalHook{fatal}
	core := &logCore{handler: log.Handler(), quiet: quiet}
	return zap.New(core, zap.WithFatalHook(hook), zap.WithPanicHook(hook))
}

type fatalHook struct{ fatal func(message string) }

func (h fatalHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	message := e.Message
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			message += ": " + err.Error()
		}
	}
	h.fatal(message)
	zapcore.WriteThenGoexit.OnWrite(e, fields)
}

func (c *logCore) level(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.WarnLevel:
		return slog.LevelDebug
	case l == zapcore.ErrorLevel && c.quiet.Load():
		return slog.LevelDebug
	case l == zapcore.ErrorLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func (c *logCore) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), c.level(l))
}

func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{c.handler, slices.Concat(c.fields, fields), c.quiet}
}

func (c *logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(e.Time, c.level(e.Level), "etcd: "+e.Message, 0)
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	for name, value := range values.Fields {
		record.AddAttrs(slog.Any(name, value))
	}
	return c.handler.Handle(context.Background(), record)
}

func (c *logCore) Sync() error { return nil }
