package main

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"spore/remote/dial"
)

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := &slow{tell: func(text string) { told = append(told, text) }}
		s.add(dial.Target{Host: "10.0.0.1"}, "10.0.0.1:22")
		<-time.After(time.Second)
		s.add(dial.Target{Host: "web"}, "10.0.0.2:22")
		s.add(dial.Target{Host: "::1", Port: "2222"}, "[::1]:2222")
		<-time.After(time.Second)
		for i := range 7 {
			s.add(dial.Target{Host: fmt.Sprintf("h%d", i)}, fmt.Sprintf("h%d:22", i))
		}
		<-time.After(time.Second)
		s.add(dial.Target{Host: "late"}, "late:22")
		s.end()
		<-time.After(time.Second)
		want := []string{
			"still connecting to 10.0.0.1:22 …",
			"still connecting to 2 hosts: [::1]:2222, web (10.0.0.2:22) …",
			"still connecting to 7 hosts: h0:22, h1:22, h2:22, h3:22, h4:22, …",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
