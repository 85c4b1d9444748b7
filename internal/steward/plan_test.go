package steward

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/etcd"
)

const (
	timeout  = 10 * time.Minute // MemberTimeout in these tests
	pastIt   = timeout + time.Minute
	shortOf  = timeout - time.Minute
	comeUpIn = 2 * time.Minute
)

func TestPlan(t *testing.T) {
	tests := map[string]struct {
		view view
		want []string // prefixes, by action
	}{
		"nothing to do":          {fleet("abc", "abc"), nil},
		"one host serves itself": {fleet("a", "a"), nil},
		"two hosts: one serves":  {fleet("ab", "a"), nil},
		"more hosts than ideal":  {fleet("abcdefg", "abcde"), nil},

		// Growing.
		"grows by one learner":       {fleet("abc", "a"), []string{"add learner b at b:7480"}},
		"grows to the ideal":         {fleet("abcdefg", "abcd"), []string{"add learner e"}},
		"an even ideal is made odd":  {fleet("abcdefg", "abc", ideal(4)), nil},
		"no ideal is an ideal of 1":  {fleet("abcdefg", "a", ideal(0)), nil},
		"negative ideal":             {fleet("abcdefg", "a", ideal(-3)), nil},
		"an even number of hosts":    {fleet("abcd", "abc"), nil},
		"not a host that is gone":    {fleet("abcd", "a", gone("b", 0)), []string{"add learner c"}},
		"a host that has just gone":  {fleet("abc", "a", gone("b", 0)), nil},
		"not a host without address": {fleet("abcd", "a", unable("b")), []string{"add learner c"}},
		"not a host that leaves":     {fleet("abcd", "a", leaves("b")), []string{"add learner c"}},
		"not one that failed":        {fleet("abcd", "a", barred("b", 1)), []string{"add learner c"}},
		"from odd, the doubtful one": {fleet("abcd", "a", failed("d", 2)), []string{"add learner d"}},
		"from even, the best one":    {fleet("abcd", "ab", failed("c", 2)), []string{"add learner d"}},
		"not at a member's address":  {fleet("abcd", "ab", moved("c", "b:7480")), []string{"add learner d"}},
		"a silent member, not long":  {fleet("abcde", "abc", silent("c", shortOf)), []string{"add learner d"}},

		// A learner.
		"is promoted": {fleet("abc", "a", learner("b", 0)), []string{"promote b"}},
		"is waited for": {
			fleet("abc", "a", learner("b", 0), silent("b", comeUpIn-1)), nil,
		},
		"is promoted though a voter is silent": {
			fleet("abcde", "abc", learner("d", 0), silent("c", pastIt)), []string{"promote d"},
		},
		"does not come up": {
			fleet("abc", "a", learner("b", comeUpIn), silent("b", comeUpIn)), []string{"remove b: it has not come up in 2m0s"},
		},
		"does not catch up": {
			fleet("abc", "a", learner("b", 5*comeUpIn)), []string{"remove b: it has not caught up"},
		},
		"its host goes": {fleet("abc", "a", learner("b", 0), gone("b", 0)), []string{"remove b: its host is gone"}},
		"its host leaves": {
			fleet("abc", "a", learner("b", 0), leaves("b")), []string{"remove b: its host leaves"},
		},
		"its host is elsewhere": {
			fleet("abc", "a", learner("b", 0), moved("b", "x:1")), []string{"remove b: its host is at another address"},
		},
		"is needed no more": {
			fleet("abc", "a", learner("b", 0), gone("c", pastIt)), []string{"remove b: it is needed no more"},
		},
		"is still needed if another has just gone": {
			fleet("abc", "a", learner("b", 0), gone("c", shortOf)), []string{"promote b"},
		},
		"without an order gets one, by its address": {
			fleet("abc", "a", learner("b", 0), orderless("b"), unstarted("b")), []string{"put order of b as 62"},
		},
		"having been started, and silent": {
			fleet("abc", "a", learner("b", 0), orderless("b"), silent("b", 0)), nil,
		},
		"with its last membership's order": {
			fleet("abc", "a", learner("b", 0), orderOf("b", 7)), []string{"put order of b as 62", "promote b"},
		},
		"at an address nobody has": {
			fleet("abc", "a", learner("b", 0), moved("b", "x:1"), orderless("b"), unstarted("b")),
			[]string{"remove the member at b:7480: its host is gone"},
		},
		"two learners": {
			fleet("abcde", "a", learner("c", 0), learner("b", 0), silent("b", 0)), []string{"remove b: one learner at a time"},
		},
		"nothing else is changed beside a learner": {
			fleet("abcdef", "abcd", learner("e", 0), silent("e", 0), silent("d", pastIt), leaves("c")), nil,
		},

		// A voter that is gone.
		"is waited for, not replaced": {fleet("abcd", "abc", silent("c", shortOf)), nil},
		"is replaced":                 {fleet("abcd", "abc", silent("c", pastIt)), []string{"remove c: it has not answered for 11m0s"}},
		"is not, with nobody to take its place": {
			fleet("abc", "abc", silent("c", pastIt), gone("c", pastIt)), nil,
		},
		"is replaced by its own host": {
			fleet("abc", "abc", silent("c", pastIt)), []string{"remove c: it has not answered"},
		},
		"is replaced by its renamed host": {
			fleet("abd", "abc", silent("c", pastIt), moved("d", "c:7480")), []string{"remove c: it has not answered"},
		},
		"its host failed not long ago": {
			fleet("abc", "abc", silent("c", pastIt), barred("c", 1)), nil,
		},
		"the one gone for longest first": {
			fleet("abcdefg", "abcde", silent("d", 2*pastIt), silent("e", pastIt)), []string{"remove d"},
		},
		"the second, when its successor is there": {
			fleet("abcdefg", "abce", silent("e", pastIt), gone("e", pastIt)), []string{"remove e"},
		},
		"a successor for one of two": {
			fleet("abcde", "abce", silent("e", pastIt), gone("e", pastIt)), []string{"add learner d"},
		},
		"no majority answers": {
			fleet("abcde", "abc", silent("b", pastIt), silent("c", pastIt)), nil,
		},
		"all hosts dead but one": {
			fleet("abcde", "abcde", dead("b"), dead("c"), dead("d"), dead("e")), nil,
		},
		"two of five, with nobody to take their places": {
			fleet("abcde", "abcde", dead("d"), dead("e")), nil,
		},
		"of two, one is gone: the store stands": {
			fleet("abc", "ab", silent("b", pastIt)), nil,
		},
		"no leader": {fleet("abcd", "abc", leads(""), silent("c", pastIt)), nil},
		"a member of an unknown host that answers stays": {
			fleet("ab", "abx", ideal(3)), nil,
		},
		"a member of an unknown host that is gone": {
			fleet("abc", "abx", silent("x", pastIt)), []string{"remove x: it has not answered"},
		},
		"at a new address, while the old one answers": {
			fleet("abc", "abc", moved("c", "c:9")), nil,
		},
		"at a new address, and gone from the old": {
			fleet("abc", "abc", moved("c", "c:9"), silent("c", pastIt)), []string{"remove c: it has not answered"},
		},
		"only the steward's view": {fleet("abcd", "abc", self("c"), silent("b", pastIt)), []string{"remove b"}},

		// Leaving.
		"goes at once":                   {fleet("abcdef", "abcde", leaves("e")), []string{"remove e: its host leaves"}},
		"needs no successor":             {fleet("abc", "abc", leaves("c")), []string{"remove c: its host leaves"}},
		"hands on the lead":              {fleet("abc", "abc", leaves("a")), []string{"move lead to b"}},
		"hands it to one that stays":     {fleet("abc", "abc", leaves("a"), leaves("b"), leads("b")), []string{"remove a: its host leaves"}},
		"the only one waits for another": {fleet("ab", "a", leaves("a")), []string{"add learner b"}},
		"the only one waits for a gone":  {fleet("ab", "a", leaves("a"), gone("b", 0)), nil},
		"the only one and a learner":     {fleet("ab", "a", leaves("a"), learner("b", 0)), []string{"promote b"}},
		"then hands on the lead":         {fleet("ab", "ab", leaves("a")), []string{"move lead to b"}},
		"and goes":                       {fleet("ab", "ab", leaves("a"), leads("b")), []string{"remove a: its host leaves"}},
		"all leave":                      {fleet("a", "a", leaves("a")), nil},
		"while another is silent": {
			fleet("abc", "abc", leaves("c"), silent("b", 0), gone("b", 0)), []string{"remove b: 1 are enough"},
		},
		"while another is silent and could be replaced": {
			fleet("abcd", "abc", leaves("c"), silent("b", 0)), nil,
		},
		"while another is gone and can be replaced": {
			fleet("abcd", "abc", leaves("c"), dead("b")), []string{"remove b: it has not answered"},
		},
		"a silent member that leaves goes first": {
			fleet("abcde", "abcde", leaves("b"), leaves("c"), silent("c", 0)), []string{"remove c: its host leaves"},
		},

		// One too many.
		"an even number":            {fleet("abcd", "abcd"), []string{"remove d: 3 are enough"}},
		"two":                       {fleet("ab", "ab"), []string{"remove b: 1 are enough"}},
		"never the leader":          {fleet("ab", "ab", leads("b")), []string{"remove a: 1 are enough"}},
		"the silent one":            {fleet("abcd", "abcd", silent("b", 0)), []string{"remove b: 3 are enough"}},
		"rather not the steward's":  {fleet("abcd", "abcd", self("d")), []string{"remove c: 3 are enough"}},
		"the ideal became smaller":  {fleet("abcde", "abcde", ideal(3)), []string{"remove e: 3 are enough"}},
		"not below a majority":      {fleet("abcd", "abcd", silent("c", 0), silent("d", 0)), nil},
		"a host has just gone":      {fleet("abcde", "abcd", gone("e", shortOf)), nil},
		"a host has gone for good":  {fleet("abcde", "abcd", gone("e", pastIt)), []string{"remove d: 3 are enough"}},
		"a host fails as a learner": {fleet("abc", "ab", barred("c", 1)), []string{"remove b: 1 are enough"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { check(t, tt.view, tt.want) })
	}
}

// check fails if the plan without the endpoints is not the wanted one.
func check(t *testing.T, v view, want []string) {
	t.Helper()
	var got []string
	for _, a := range plan(v) {
		if _, ok := a.(putEndpoints); !ok {
			got = append(got, a.String())
		}
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPlanWrites is about what is written about the members.
func TestPlanWrites(t *testing.T) {
	full := func(v *view) { v.edit("a", func(s *seat) { s.full = true }) }
	large := func(v *view) { v.edit("b", func(s *seat) { s.size = 95 }) }
	corrupt := func(v *view) { v.edit("b", func(s *seat) { s.corrupt = true }) }
	tests := map[string]struct {
		view view
		want []string
	}{
		"a voter without order": {fleet("abc", "abc", orderless("c")), []string{"put order of c as 63"}},
		"one that is silent":    {fleet("abc", "abc", orderless("c"), silent("c", shortOf)), nil},
		"one that leaves":       {fleet("abc", "abc", orderless("c"), leaves("c")), []string{"remove c"}},
		"another member's":      {fleet("abc", "abc", orderOf("c", 7)), []string{"put order of c as 63"}},
		"of no member":          {fleet("abcd", "abc", orderOf("d", 7)), []string{"drop order of d"}},
		"of an unknown host":    {fleet("abc", "abc", orderOf("x", 7)), []string{"drop order of x"}},
		"before it is asked": {
			fleet("abcde", "abc", orderOf("d", 7)), []string{"drop order of d", "add learner d"},
		},
		"endpoints, a new one":   {fleet("abc", "abc", told("a")), []string{"put endpoints [https://a:7481 https://b:7481 https://c:7481]"}},
		"endpoints, silent last": {fleet("abc", "abc", silent("a", 0)), []string{"put endpoints [https://b:7481 https://c:7481 https://a:7481]"}},
		"endpoints, not learners": {
			fleet("abc", "a", learner("b", 0), silent("b", 0)), nil,
		},
		"endpoints, none known": {fleet("a", "a", unstarted("a")), nil},
		"full, and no room":     {fleet("abc", "abc", full, large), nil},
		"full, and room":        {fleet("abc", "abc", full), []string{"allow writes again"}},
		"full and corrupt":      {fleet("abc", "abc", full, corrupt), nil},
		"without a majority": {
			fleet("abc", "abc", dead("b"), dead("c"), told("a", "b", "c"), orderless("a")), []string{"put order of a"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range plan(tt.view) {
				got = append(got, a.String())
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	a, ok := change(fleet("abcde", "abc")).(addLearner)
	if !ok {
		t.Fatal("no learner is added")
	}
	want := "map[a:https://a:7480 b:https://b:7480 c:https://c:7480 d:https://d:7480]"
	if got := fmt.Sprint(a.order.Initial); got != want || a.order.Cluster != "id" || a.order.Peer != "d:7480" {
		t.Errorf("got order %+v, want it to list %s", a.order, want)
	}
}

// fleet is a view of hosts that are able, of which some are voters, the first of them the leader;
// each is named by a letter.
func fleet(hosts, voters string, edits ...func(*view)) view {
	v := view{
		cluster: etcd.Cluster{ID: "id", Ideal: 5, MemberTimeout: timeout}, learnerTimeout: comeUpIn, quota: 100,
		leader: uint64(voters[0]), hosts: map[string]host{}, orders: map[string]etcd.Order{},
	}
	for _, name := range strings.Split(hosts, "") {
		v.hosts[name] = host{alive: true, able: true, peer: name + ":7480", recipient: "age1" + name}
	}
	for _, name := range strings.Split(voters, "") {
		v.join(name, false)
		v.endpoints = append(v.endpoints, "https://"+name+":7481")
	}
	for _, edit := range edits {
		edit(&v)
	}
	return v
}

func (v *view) join(name string, learner bool) {
	m := etcd.Member{ID: uint64(name[0]), Host: name, Peer: name + ":7480", Client: "https://" + name + ":7481", Learner: learner}
	v.members = append(v.members, seat{Member: m, answers: true})
	o := v.order(m)
	o.Authority = []byte("sealed")
	v.orders[name] = o
}

func (v *view) edit(name string, f func(*seat)) {
	for i := range v.members {
		if v.members[i].ID == uint64(name[0]) {
			f(&v.members[i])
		}
	}
}

func (v *view) editHost(name string, f func(*host)) {
	h := v.hosts[name]
	f(&h)
	v.hosts[name] = h
}

func ideal(n int) func(*view)        { return func(v *view) { v.cluster.Ideal = n } }
func self(name string) func(*view)   { return func(v *view) { v.self = name } }
func leaves(name string) func(*view) { return ofHost(name, func(h *host) { h.leaving = true }) }
func unable(name string) func(*view) { return ofHost(name, func(h *host) { h.able = false }) }
func moved(name, peer string) func(*view) {
	return ofHost(name, func(h *host) { h.peer = peer })
}

func gone(name string, d time.Duration) func(*view) {
	return ofHost(name, func(h *host) { *h = host{gone: d, leaving: h.leaving} })
}

func failed(name string, n int) func(*view) { return ofHost(name, func(h *host) { h.failures = n }) }
func barred(name string, n int) func(*view) {
	return ofHost(name, func(h *host) { h.failures, h.barred = n, true })
}

func ofHost(name string, f func(*host)) func(*view) {
	return func(v *view) { v.editHost(name, f) }
}

func leads(name string) func(*view) {
	return func(v *view) {
		v.leader = 0
		if name != "" {
			v.leader = uint64(name[0])
		}
	}
}

func silent(name string, d time.Duration) func(*view) {
	return func(v *view) {
		v.edit(name, func(s *seat) { s.answers, s.silent, s.age = false, d, max(s.age, d) })
	}
}

// dead is a host gone for good with its member.
func dead(name string) func(*view) {
	return func(v *view) { silent(name, pastIt)(v); gone(name, pastIt)(v) }
}

func learner(name string, age time.Duration) func(*view) {
	return func(v *view) {
		v.join(name, true)
		v.edit(name, func(s *seat) { s.age = age })
	}
}

// unstarted makes a member one that has not told its name; it is known as hostOf knows it.
func unstarted(name string) func(*view) {
	return func(v *view) {
		v.edit(name, func(s *seat) { s.answers, s.Client, s.Host = false, "", v.hostOf(s.Member) })
	}
}

func orderless(name string) func(*view) { return func(v *view) { delete(v.orders, name) } }

func orderOf(name string, id uint64) func(*view) {
	return func(v *view) {
		o := v.orders[name]
		o.Member = id
		v.orders[name] = o
	}
}

func told(names ...string) func(*view) {
	return func(v *view) {
		v.endpoints = nil
		for _, n := range names {
			v.endpoints = append(v.endpoints, "https://"+n+":7481")
		}
	}
}
