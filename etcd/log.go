package etcd

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A logCore is a zap core that writes to a slog handler, all of it at debug. To a person who runs
// spore, what etcd has to say is detail: it calls a slow disk and a connection that broke a
// warning, and its errors include some of every normal start and end. What matters of them comes
// back as the error of a request or of the server.
type logCore struct {
	handler slog.Handler
	fields  []zapcore.Field
}

// newZap returns a zap logger that writes to log. Where etcd would end the process it calls fatal
// and ends the goroutine alone.
func newZap(log *slog.Logger, fatal func(message string)) *zap.Logger {
	hook := fatalHook{fatal}
	return zap.New(&logCore{handler: log.Handler()}, zap.WithFatalHook(hook), zap.WithPanicHook(hook))
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

func (c *logCore) Enabled(zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slog.LevelDebug)
}

func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{c.handler, slices.Concat(c.fields, fields)}
}

func (c *logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(e.Time, slog.LevelDebug, "etcd: "+e.Message, 0)
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
