package fleet

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxRange is how many hosts one address may stand for.
const maxRange = 100_000

// rangePattern finds [01:40] and [a:f]. No IPv6 address in brackets looks like either.
var rangePattern = regexp.MustCompile(`\[([0-9]+|[a-z]):([0-9]+|[a-z])\]`)

// expand returns the addresses that one with ranges stands for: web[01:40] for web01 to web40. The
// width of the first number is kept.
func expand(address string) ([]string, error) {
	at := rangePattern.FindStringSubmatchIndex(address)
	if at == nil {
		return []string{address}, nil
	}
	words, err := span(address[at[2]:at[3]], address[at[4]:at[5]])
	if err != nil {
		return nil, fmt.Errorf("expand %s: %w", address[at[0]:at[1]], err)
	}
	tails, err := expand(address[at[1]:])
	if err != nil {
		return nil, err
	}
	if len(words)*len(tails) > maxRange {
		return nil, fmt.Errorf("expand %q: more than %d hosts", address, maxRange)
	}
	all := make([]string, 0, len(words)*len(tails))
	for _, w := range words {
		for _, t := range tails {
			all = append(all, address[:at[0]]+w+t)
		}
	}
	return all, nil
}

// span lists the words from first to last.
func span(first, last string) ([]string, error) {
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(last)
	form := "%0" + strconv.Itoa(len(first)) + "d"
	if errA != nil && errB != nil {
		a, b, form = int(first[0]), int(last[0]), "%c"
	} else if errA != nil || errB != nil {
		return nil, fmt.Errorf("a range goes from number to number or from letter to letter")
	}
	if a > b {
		return nil, fmt.Errorf("the range ends before it begins")
	}
	if b-a >= maxRange {
		return nil, fmt.Errorf("more than %d hosts", maxRange)
	}
	words := make([]string, 0, b-a+1)
	for n := a; n <= b; n++ {
		words = append(words, fmt.Sprintf(form, n))
	}
	return words, nil
}

// ipv6Pattern finds the host of [2001:db8::*]:2222, as a host's name with a port has it.
var ipv6Pattern = regexp.MustCompile(`^\[[^\[\]]*:[^\[\]]*:[^\[\]]*\](:[0-9*?]+)?$`)

// A limit chooses among hosts by their names.
type limit struct{ with, without []*regexp.Regexp }

// parseLimit reads a list of patterns, separated by commas. In a pattern * stands for any text, ?
// for any character, and ranges for what they expand to; ! in front takes hosts away again.
func parseLimit(text string) (l limit, err error) {
	for pattern := range strings.SplitSeq(text, ",") {
		pattern = strings.TrimSpace(pattern)
		list := &l.with
		if rest, ok := strings.CutPrefix(pattern, "!"); ok {
			pattern, list = rest, &l.without
		}
		if pattern == "" {
			return l, fmt.Errorf("limit %q: a pattern is empty", text)
		}
		names, err := expand(pattern)
		if err != nil {
			return l, fmt.Errorf("limit: %w", err)
		}
		if strings.ContainsAny(ipv6Pattern.ReplaceAllString(names[0], ""), "[]") {
			return l, fmt.Errorf("limit: pattern %q: brackets hold a range such as [1:3], or an IPv6 address", pattern)
		}
		for _, name := range names {
			*list = append(*list, glob(name))
		}
	}
	return l, nil
}

func glob(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
	return regexp.MustCompile(`\A` + quoted + `\z`)
}

func (l limit) admits(name string) bool {
	return (len(l.with) == 0 || matches(l.with, name)) && !matches(l.without, name)
}

func matches(patterns []*regexp.Regexp, name string) bool {
	for _, p := range patterns {
		if p.MatchString(name) {
			return true
		}
	}
	return false
}
