package main

import "github.com/spf13/cobra"

// residentProcesses are the verbs that run what resides on the host.
func residentProcesses(stdio) []*cobra.Command { return nil }
