package main

import (
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"spore/remote"
)

// complete has a shell offer what c and the commands below it take, as arguments and as values of
// flags, where they do not say so themselves: by what their usage calls it.
func complete(c *cobra.Command) {
	if c.ValidArgsFunction == nil {
		c.ValidArgsFunction = arguments(c.Use)
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if _, known := c.GetFlagCompletionFunc(f.Name); !known {
			_ = c.RegisterFlagCompletionFunc(f.Name, values(f)) // c has the flag
		}
	})
	for _, sub := range c.Commands() {
		complete(sub)
	}
}

// argument finds what a command takes in how it is used, and whether it takes more of it.
var argument = regexp.MustCompile(`^\S+ [(\[]?([A-Z]+)\b(\.\.\.)?`)

func arguments(use string) cobra.CompletionFunc {
	found := argument.FindStringSubmatch(use)
	if found == nil {
		return cobra.NoFileCompletions
	}
	offer := called(found[1])
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && found[2] == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(c, args, begun)
	}
}

func values(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "cluster":
		return clusters
	case "log-level":
		return words("debug", "info", "warn", "error")
	case "become":
		return words(remote.Sudo, remote.Doas, remote.Su)
	case "detach":
		return words(onceConverged, atOnce)
	}
	name, _ := pflag.UnquoteUsage(f)
	if name == "NAME" { // of whatever
		return cobra.NoFileCompletions
	}
	return called(name)
}

// called offers what a usage calls by name.
func called(name string) cobra.CompletionFunc {
	switch name {
	case "GRAPH":
		return cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
	case "KIND":
		return kinds
	case "HOST":
		return hosts
	case "NAME":
		return clusters
	case "FILE", "DIR", "SOCKET":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	return cobra.NoFileCompletions
}

func words(list ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

func kinds(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	b := newBehaviour(slog.New(slog.DiscardHandler))
	defer b.hub.Close()
	return names(b.kinds), cobra.ShellCompDirectiveNoFileComp
}

// clusters offers those that are known here. What cannot be read cannot be offered.
func clusters(*cobra.Command, []string, string) (list []string, _ cobra.ShellCompDirective) {
	if r, err := records(); err == nil {
		all, _ := r.List()
		for _, record := range all {
			list = append(list, record.Cluster.Name)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// hosts offers those of the cluster that is meant.
func hosts(c *cobra.Command, _ []string, _ string) (list []string, _ cobra.ShellCompDirective) {
	f := clusterFlags{cluster: c.Flag("cluster").Value.String()}
	if record, err := f.record(); err == nil {
		for _, h := range record.Hosts {
			list = append(list, h.Name)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
