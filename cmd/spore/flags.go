package main

import (
	"fmt"
	"strconv"
	"time"
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
	if n, e := strconv.ParseFloat(text, 64); e == nil {
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
