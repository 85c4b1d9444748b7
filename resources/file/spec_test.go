package file

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"spore/engine"
)

func ptr[T any](v T) *T { return &v }

func TestPath(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		want string
	}{
		{"/etc/motd", Spec{}, "/etc/motd"},
		{"motd", Spec{}, ""},
		{"motd", Spec{Path: "/etc/motd"}, "/etc/motd"},
		{"/name", Spec{Path: "/etc/motd"}, "/etc/motd"},
		{"x", Spec{Path: "/etc/motd", Dirname: "/tmp/"}, "/tmp/motd"},
		{"x", Spec{Path: "/etc/motd", Dirname: "/tmp"}, "/tmp/motd"},
		{"x", Spec{Path: "/etc/motd", Basename: "issue"}, "/etc/issue"},
		{"x", Spec{Path: "/etc/dir/", Basename: "other/"}, "/etc/other/"},
		{"x", Spec{Path: "/etc/dir/", Dirname: "/tmp/"}, "/tmp/dir/"},
		{"x", Spec{Path: "/etc/dir//", Dirname: "/tmp//"}, "/tmp/dir/"},
		{"x", Spec{Dirname: "/a/", Basename: "b"}, "/a/b"},
		{"b", Spec{Dirname: "/a/"}, "/a/b"},
	}
	for _, test := range tests {
		if got := test.spec.WithName(test.name).(Spec).path(); got != test.want {
			t.Errorf("%s %+v: %q, want %q", test.name, test.spec, got, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	text := ptr("text")
	tests := []struct {
		spec Spec
		want string // the fields that are wrong
	}{
		{Spec{Path: "/a"}, ""},
		{Spec{Path: "/a", Content: text, Mode: "0644", Owner: "root", Group: "0"}, ""},
		{Spec{Path: "/a/", SourcePath: "tree/", Recurse: true, Purge: true}, ""},
		{Spec{Path: "/a/", SourcePath: "tree", Recurse: true}, ""},
		{Spec{Path: "/a", SourcePath: "../a"}, ""},
		{Spec{Path: "/a", State: Absent, Mode: "0644"}, ""},
		{Spec{Path: "/etc/", Mode: "755"}, ""},
		{Spec{Path: "/etc/"}, ""},
		{Spec{Path: "/etc/motd", State: Absent}, ""},
		{Spec{Path: "/opt/app/", State: Absent, Recurse: true, Force: true}, ""},

		{Spec{}, "path"},
		{Spec{Path: "a"}, "path"},
		{Spec{Path: "/a/../b"}, "path"},
		{Spec{Path: "/a/.."}, "path"},
		{Spec{Path: "/a/."}, "path"},
		{Spec{Path: "/a\x00"}, "path"},
		{Spec{Path: "/a", Dirname: "tmp/"}, "dirname"},
		{Spec{Path: "/a", Dirname: "/x/../tmp/"}, "dirname"},
		{Spec{Path: "/a", Basename: "../b"}, "basename"},
		{Spec{Path: "/a", Basename: ".."}, "basename"},
		{Spec{Path: "/a", Basename: "/"}, "basename"},
		{Spec{Path: "/a", State: "present"}, "state"},
		{Spec{Path: "/a", State: Absent, Content: text}, "content"},
		{Spec{Path: "/a", State: Absent, SourcePath: "s"}, "source"},
		{Spec{Path: "/a", Content: text, SourcePath: "s"}, "source"},
		{Spec{Path: "/a/", Content: text}, "content"},
		{Spec{Path: "/a", SourcePath: "s/"}, "source"},
		{Spec{Path: "/a/", SourcePath: "s/"}, "source"},
		{Spec{Path: "/a", SourcePath: "/a"}, "source"},
		{Spec{Path: "/a/b/", SourcePath: "/a/", Recurse: true}, "source"},
		{Spec{Path: "/a/", SourcePath: "/a/b/", Recurse: true}, "source"},
		{Spec{Path: "/a", Recurse: true}, "recurse"},
		{Spec{Path: "/a/", Purge: true}, "purge"},
		{Spec{Path: "/a", Purge: true}, "purge"},
		{Spec{Path: "/a/", Purge: true, Recurse: true, State: Absent}, "purge"},
		{Spec{Path: "/a", Mode: "u+x"}, "mode"},
		{Spec{Path: "/a", Mode: "888"}, "mode"},
		{Spec{Path: "/a", Mode: "17777"}, "mode"},
		{Spec{Path: "/a", Mode: "+644"}, "mode"},
		{Spec{Path: "/a", Mode: "-1"}, "mode"},
		{Spec{Path: "/a", Owner: "a:b"}, "owner"},
		{Spec{Path: "/a", Group: "a b"}, "group"},
		{Spec{Path: "a", Mode: "x", State: "y"}, "mode path state"},

		{Spec{Path: "/"}, ""},
		{Spec{Path: "/", State: Absent, Recurse: true, Force: true}, "state"},
		{Spec{Path: "/", Recurse: true, Purge: true}, "purge"},
		{Spec{Path: "/etc/", State: Absent, Recurse: true, Force: true}, "state"},
		{Spec{Path: "/etc", State: Absent}, "state"},
		{Spec{Path: "//etc//", State: Absent}, "state"},
		{Spec{Path: "/usr/", Purge: true, Recurse: true}, "purge"},
		{Spec{Path: "/var/lib/", Purge: true, Recurse: true}, "purge"},
		{Spec{Path: "/etc", Content: text, Force: true}, "force"},
	}
	for _, test := range tests {
		if got := blamed(t, test.spec.Validate()); got != test.want {
			t.Errorf("%+v: blames %q, want %q", test.spec, got, test.want)
		}
	}
}

func blamed(t *testing.T, err error) string {
	t.Helper()
	var fields []string
	for _, err := range flat([]error{err}) {
		e, ok := err.(*engine.FieldError)
		if !ok {
			t.Fatalf("%v is a %T", err, err)
		}
		fields = append(fields, e.Field)
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

func TestMode(t *testing.T) {
	for _, text := range []string{"0644", "0000", "0755", "4755", "2750", "1777", "7777"} {
		mode, err := parseMode(text)
		if err != nil || octal(mode) != text {
			t.Errorf("%s becomes %s, %v", text, octal(mode), err)
		}
	}
}

func TestCollected(t *testing.T) {
	text := ptr("text")
	tests := []struct {
		spec    Spec
		pattern string
		want    string // the path; empty is refused
	}{
		{Spec{Path: "/tmp/f", Content: text}, "/srv/", "/srv/f"},
		{Spec{Path: "/tmp/f", Content: text}, "/srv", "/srv/f"},
		{Spec{Path: "/tmp/f", Dirname: "/x/", Basename: "g"}, "/srv/", "/srv/g"},
		{Spec{Path: "/tmp/d/"}, "/srv/", "/srv/d/"},
		{Spec{Path: "/tmp/f", State: Absent}, "/srv/", "/srv/f"},

		{Spec{Path: "/tmp/f"}, "srv/", ""},
		{Spec{Path: "/tmp/f"}, "", ""},
		{Spec{Path: "/tmp/f"}, "/srv/../etc/", ""},
		{Spec{Path: "/tmp/.."}, "/srv/", ""},
		{Spec{Path: "/tmp/f", Basename: "../../etc/passwd"}, "/srv/", ""},
		{Spec{Path: "/"}, "/srv/", ""},
		{Spec{Path: "/tmp/etc", State: Absent}, "/", ""},
		{Spec{Path: "/tmp/f", SourcePath: "/etc/shadow"}, "/srv/", ""},
		{Spec{Path: "/tmp/d/", Recurse: true, Purge: true}, "/srv/", ""},
		{Spec{Path: "/tmp/f", Force: true}, "/srv/", ""},
		{Spec{Path: "/tmp/f", Content: text, Mode: "4755"}, "/srv/", ""},
	}
	for _, test := range tests {
		got, err := test.spec.Collected(test.pattern)
		if test.want == "" {
			if err == nil {
				t.Errorf("%+v lands in %s as %+v", test.spec, test.pattern, got)
			}
			continue
		}
		want := test.spec
		want.Path, want.Dirname, want.Basename = test.want, "", ""
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v lands in %s as %+v, %v", test.spec, test.pattern, got, err)
		}
	}
}

func TestExportable(t *testing.T) {
	if err := (Spec{Path: "/f", Content: ptr("")}).Exportable(); err != nil {
		t.Error(err)
	}
	err := Spec{Path: "/d/", SourcePath: "d/", Recurse: true}.Exportable()
	if got := blamed(t, err); got != "recurse source" {
		t.Errorf("blames %q: %v", got, err)
	}
	var field *engine.FieldError
	if !errors.As(err, &field) || !strings.Contains(err.Error(), "content") {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestWithSource(t *testing.T) {
	spec := Spec{Path: "/f", SourcePath: "f"}.WithSource("/staged/f", "digest").(Spec)
	if spec.Source() != "/staged/f" || reflect.DeepEqual(spec, spec.WithSource("/staged/f", "other")) {
		t.Errorf("got %+v", spec)
	}
}

func TestLocation(t *testing.T) {
	for _, c := range []struct {
		spec  Spec
		where string
		makes bool
	}{
		{Spec{Path: "/a/b/"}, "/a/b", true},
		{Spec{Path: "/a/b/", State: Exists}, "/a/b", true},
		{Spec{Path: "/a/b"}, "/a/b", false},
		{Spec{Path: "/a/b/", State: Absent}, "/a/b", false},
		{Spec{Path: "/a/b/", State: Undefined}, "/a/b", false},
		{Spec{Dirname: "/a/", Basename: "c"}, "/a/c", false},
	} {
		if where, makes := c.spec.Location(); where != c.where || makes != c.makes {
			t.Errorf("%+v is at %q, makes it: %v", c.spec, where, makes)
		}
	}
}
