package fleet

import (
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		address string
		want    string // separated by blanks; empty is an error
	}{
		{"web", "web"},
		{"root@[::1]:22", "root@[::1]:22"},
		{"[fe80::1]", "[fe80::1]"},
		{"web[08:11].example.com", "web08.example.com web09.example.com web10.example.com web11.example.com"},
		{"ssh://root@n[1:3]:2222", "ssh://root@n1:2222 ssh://root@n2:2222 ssh://root@n3:2222"},
		{"r[1:2]-[a:c]", "r1-a r1-b r1-c r2-a r2-b r2-c"},
		{"n[7:7]", "n7"},
		{"n[9:100]x[1:0]", ""},
		{"n[3:1]", ""},
		{"n[a:4]", ""},
		{"n[0:99999999]", ""},
		{"n[0:99999][0:99999]", ""},
	} {
		got, err := expand(c.address)
		if want := strings.Fields(c.want); !slices.Equal(got, want) || (err == nil) != (len(want) > 0) {
			t.Errorf("expand(%q) = %q, %v; want %q", c.address, got, err, want)
		}
	}
}

func TestLimit(t *testing.T) {
	hosts := []string{"db1", "db2", "web01", "web02", "web03", "web.x", "[2001:db8::1]:2222"}
	for _, c := range []struct{ limit, want string }{
		{"*", "db1 db2 web01 web02 web03 web.x [2001:db8::1]:2222"},
		{"web*", "web01 web02 web03 web.x"},
		{"web[01:02]", "web01 web02"},
		{"db?,web02", "db1 db2 web02"},
		{"!db*", "web01 web02 web03 web.x [2001:db8::1]:2222"},
		{"[2001:db8::*]:2222", "[2001:db8::1]:2222"},
		{"web*, !web03", "web01 web02 web.x"},
		{"web.x", "web.x"},
		{"webxx", ""},
	} {
		l, err := parseLimit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return !l.admits(h) })
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("limit %q leaves %q, want %q", c.limit, got, c.want)
		}
	}
	for _, wrong := range []string{"", "a,,b", "!", "a[3:1]", "[", "web]", "web[1-3]", "web[1:2][", "a[1:2:3]"} {
		if _, err := parseLimit(wrong); err == nil || !strings.Contains(err.Error(), wrong) && wrong != "a[3:1]" {
			t.Errorf("limit %q: %v, want an error that names it", wrong, err)
		}
	}
}
