package dial

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is a password or passphrase. However it is printed, logged or encoded it shows as
// REDACTED; only Reveal gives what it holds.
type Secret string

const redacted = "REDACTED"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns REDACTED.
func (s Secret) String() string { return redacted }

// GoString returns REDACTED.
func (s Secret) GoString() string { return redacted }

// Format prints REDACTED whatever the verb, for %x and %d would show the bytes.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns REDACTED.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "REDACTED".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns REDACTED, for encoders of other formats.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
