package fleet

import "fmt"

// Limit returns those of names that match one of the patterns, as in Selection.Limit; empty is all.
func Limit(names []string, patterns string) ([]string, error) {
	if patterns == "" {
		return names, nil
	}
	l, err := parseLimit(patterns)
	if err != nil {
		return nil, err
	}
	var some []string
	for _, name := range names {
		if l.admits(name) {
			some = append(some, name)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("limit %q leaves none of the %d hosts", patterns, len(names))
	}
	return some, nil
}
