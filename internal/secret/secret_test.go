package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plain"), "from a file\n")
	write(t, filepath.Join(dir, "two words"), "other\r\n")
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxSize+1))
	write(t, filepath.Join(dir, "empty"), "")
	t.Setenv("SPORE_TEST_SECRET", "from the environment")
	r := &Resolver{Ask: func(_ context.Context, q string) (string, error) { return "answer to " + q, nil }}
	for reference, want := range map[string]string{
		"secret://env/SPORE_TEST_SECRET":         "from the environment",
		"secret://file/plain":                    "from a file",
		"secret://file/two%20words":              "other",
		"secret://file/" + dir + "/plain":        "from a file",
		"secret://cmd/printf%20'%25s\\n'%20here": "here",
		"secret://cmd/cat plain":                 "from a file",
		"secret://prompt/the password":           "answer to the password",
	} {
		if got, err := r.Resolve(t.Context(), dir, reference); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", reference, got, err, want)
		}
	}
	write(t, filepath.Join(dir, "largest"), strings.Repeat("x", maxSize)+"\r\n")
	if got, err := r.Resolve(t.Context(), dir, "secret://file/largest"); len(got) != maxSize || err != nil {
		t.Errorf("the largest: got %d bytes, %v", len(got), err)
	}
	write(t, filepath.Join(dir, "lines"), "\n\n one\ttwo\x00\n\n")
	if got, err := r.Resolve(t.Context(), dir, "secret://file/lines"); got != "\n\n one\ttwo\x00\n" || err != nil {
		t.Errorf("one newline is to go and nothing else: got %q, %v", got, err)
	}
	write(t, filepath.Join(dir, "binary"), "hun\xffter")
	t.Setenv("SPORE_TEST_BINARY", "hun\xffter")
	t.Setenv("SPORE_TEST_EMPTY", "")
	for _, wrong := range []string{
		"secret://env/SPORE_TEST_NONE", "secret://file/none", "secret://file/large", "secret://file/empty",
		"secret://file/binary", "secret://env/SPORE_TEST_BINARY", "secret://env/SPORE_TEST_EMPTY", "secret://file/.",
		"secret://cmd/cat binary", "secret://cmd/cat large large", "secret://cmd/echo hunter; exit 1",
		"secret://cmd/exit 3", "secret://else/x", "secret://env/", "secret://", "secret://file/%zz",
	} {
		got, err := r.Resolve(t.Context(), dir, wrong)
		if got != "" || err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: got %q, %v", wrong, got, err)
		} else if told := strings.ReplaceAll(err.Error(), wrong, ""); strings.Contains(told, "hun") || strings.Contains(told, "xxx") {
			t.Errorf("%s: the error tells: %v", wrong, err)
		}
	}
	if got, err := r.Resolve(t.Context(), dir, "secret://cmd/sleep 9 & echo left"); err == nil {
		t.Errorf("a command that leaves another behind: got %q", got)
	}
	r = &Resolver{}
	if _, err := r.Resolve(t.Context(), dir, "secret://prompt/x"); err == nil {
		t.Error("a question was answered without anyone to ask")
	}
}

func TestEachIsAskedForOnce(t *testing.T) {
	asked := 0
	r := &Resolver{Ask: func(context.Context, string) (string, error) {
		asked++
		return "", errors.New("no answer")
	}}
	for range 3 {
		_, _ = r.Resolve(t.Context(), "/", "secret://prompt/x")
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAge(t *testing.T) {
	dir := t.TempDir()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key"), identity.String()+"\n")
	var binary, text bytes.Buffer
	encrypt(t, &binary, identity.Recipient())
	armoured := armor.NewWriter(&text)
	w, err := age.Encrypt(armoured, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("deep\n"))
	if err := errors.Join(w.Close(), armoured.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "binary.age"), binary.String())
	write(t, filepath.Join(dir, "text.age"), text.String())
	r := &Resolver{Identities: []string{filepath.Join(dir, "key")}}
	for _, name := range []string{"binary.age", "text.age"} {
		if got, err := r.Resolve(t.Context(), dir, "secret://age/"+name); got != "deep" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "other"), other.String())
	r = &Resolver{Identities: []string{filepath.Join(dir, "other")}}
	if got, err := r.Resolve(t.Context(), dir, "secret://age/text.age"); err == nil {
		t.Errorf("another's identity gave %q", got)
	}
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	if _, err := (&Resolver{}).Resolve(t.Context(), dir, "secret://age/text.age"); err == nil ||
		!strings.Contains(err.Error(), "SPORE_AGE_IDENTITY") {
		t.Errorf("without an identity: %v", err)
	}
}

func encrypt(t *testing.T, out *bytes.Buffer, to age.Recipient) {
	t.Helper()
	w, err := age.Encrypt(out, to)
	if err == nil {
		_, err = w.Write([]byte("deep\n"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRedact(t *testing.T) {
	var r Redactor
	if got := r.Redact("nothing is known"); got != "nothing is known" {
		t.Errorf("got %q", got)
	}
	r.Add("hunter22", "hunter22-and-more", "abc", "-----BEGIN-----\nline one\nline two\n")
	for text, want := range map[string]string{
		"password hunter22!":          "password " + Redacted + "!",
		"hunter22-and-more":           Redacted,
		"abc is too short to be told": "abc is too short to be told",
		"+line two":                   "+" + Redacted,
	} {
		if got := r.Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// However a secret is written that somebody quotes, it does not get through.
func TestRedactForms(t *testing.T) {
	var r Redactor
	const secret, multi = `p'a"s\s <w>&ö/@:+ %d`, "first line\nsecond 'line'"
	r.Add(secret, multi)
	encoded, err := json.Marshal(map[string]string{"password": secret, "key": multi})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("wrong password %q", secret), string(encoded),
		"curl 'https://x/?q=" + url.QueryEscape(secret) + "'", "/" + url.PathEscape(secret) + "/x",
		(&url.URL{Scheme: "https", User: url.UserPassword("u", secret), Host: "h"}).String(),
		"echo '" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"- first line\n+ second 'line'\n", fmt.Sprintf("%q", multi),
	} {
		got := r.Redact(text)
		if !strings.Contains(got, Redacted) {
			t.Errorf("%s stays", text)
		}
		for _, piece := range []string{"w>", "w%3", "first", "line"} {
			if strings.Contains(got, piece) {
				t.Errorf("of %s remains %s", text, got)
			}
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
