package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// seconds is a flag that takes bare seconds or a Go duration.
type seconds time.Duration

const never seconds = -1

func (s *seconds) String() string {
	if *s == never {
		return ""
	}
	return time.Duration(*s).String()
}

// Set implements pflag.Value.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, e := strconv.ParseFloat(text, 64); e == nil && n >= 0 && n <= 1e9 { // "nan" is a number, too
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is neither a number of seconds nor a duration such as 1m30s", text)
	}
	*s = seconds(d)
	return nil
}

// Type implements pflag.Value.
func (s *seconds) Type() string { return "duration" }

// number is a flag that takes a whole number, least or more.
type number struct {
	value *int
	least int
}

func (n number) String() string {
	if n.value == nil { // as pflag asks the zero value
		return ""
	}
	return strconv.Itoa(*n.value)
}

// Set implements pflag.Value.
func (n number) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < n.least {
		return fmt.Errorf("it takes a whole number from %d up", n.least)
	}
	*n.value = v
	return nil
}

// Type implements pflag.Value.
func (number) Type() string { return "int" }

// bandwidth is a flag that takes bytes a second, with K, M or G after them for the binary multiples.
type bandwidth int64

func (b *bandwidth) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set implements pflag.Value.
func (b *bandwidth) Set(text string) error {
	number, unit := text, int64(1)
	if n := len(text); n > 0 {
		if i := strings.IndexByte("KMG", text[n-1]&^0x20); i >= 0 {
			number, unit = text[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	// A block of a host's disk is the least that makes sense; the most is what is surely no limit.
	if err != nil || !(n*float64(unit) >= 512 && n*float64(unit) <= 1<<50) {
		return fmt.Errorf("%q is no number of bytes a second, 512 or more, such as 800K or 1.5M", text)
	}
	*b = bandwidth(n * float64(unit))
	return nil
}

// Type implements pflag.Value.
func (b *bandwidth) Type() string { return "rate" }

// limiter returns what keeps to the bandwidth; nil when there is no limit.
func (b bandwidth) limiter() *rate.Limiter {
	if b == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(b), int(min(max(b/10, 512), 64<<10))) // of a tenth of a second
}
