package etcd

import (
	"fmt"
	"net/url"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	prefix        = "/spore/"
	graphsPrefix  = prefix + "graphs/"
	exportsPrefix = prefix + "exports/"
	hostsPrefix   = prefix + "hosts/"
	valuesPrefix  = prefix + "kv/"
	syncKey       = prefix + "sync"

	// Of a detached fleet:
	clusterKey    = prefix + "cluster"
	endpointsKey  = prefix + "endpoints"
	ordersPrefix  = prefix + "members/"
	certsPrefix   = prefix + "certs/"
	leavingPrefix = prefix + "leaving/"
	stewardPrefix = prefix + "steward/"
	deployPrefix  = prefix + "deploy/"
	keysPrefix    = prefix + "recipients/"

	// filesPrefix is beside the rest, for who follows the fleet is not to be sent what is there.
	filesPrefix = "/spore.files/"
)

func graphKey(host string) string  { return graphsPrefix + url.PathEscape(host) }
func reportKey(host string) string { return hostPrefix(host) + "report" }
func factsKey(host string) string  { return hostPrefix(host) + "facts" }
func hostPrefix(host string) string {
	return hostsPrefix + url.PathEscape(host) + "/"
}

func kindPrefix(kind string) string { return exportsPrefix + url.PathEscape(kind) + "/" }

func exportPrefix(kind, host string) string {
	return kindPrefix(kind) + url.PathEscape(host) + "/"
}

func exportKey(kind, host, name string) string {
	return exportPrefix(kind, host) + url.PathEscape(name)
}

func orderKey(host string) string     { return ordersPrefix + url.PathEscape(host) }
func certKey(host string) string      { return certsPrefix + url.PathEscape(host) }
func leavingKey(host string) string   { return leavingPrefix + url.PathEscape(host) }
func recipientKey(host string) string { return keysPrefix + url.PathEscape(host) }
func fenceKey(host string) string     { return hostPrefix(host) + "fence" }
func requestKey(host string) string   { return hostPrefix(host) + "request" } // for a certificate

func filesPrefixOf(digest string) string {
	return filesPrefix + url.PathEscape(digest) + "/"
}

// partKey is that of the n-th part of a bundle.
func partKey(digest string, n int) string { return filesPrefixOf(digest) + fmt.Sprintf("%06d", n) }

func valueKey(key string) string { return valuesPrefix + url.PathEscape(key) }

// A span is one key, or all that begin with it.
type span struct {
	key    string
	prefix bool
}

func (s span) end() string {
	if !s.prefix {
		return ""
	}
	return clientv3.GetPrefixRangeEnd(s.key)
}

// isData says whether a write to key is one that hosts have to follow.
func isData(key string) bool {
	return strings.HasPrefix(key, graphsPrefix) || strings.HasPrefix(key, exportsPrefix) ||
		strings.HasPrefix(key, valuesPrefix)
}

// splitKey returns the unescaped segments of key behind prefix, if there are n of them.
func splitKey(key, prefix string, n int) ([]string, bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	segments := strings.Split(rest, "/")
	if !ok || len(segments) != n {
		return nil, false
	}
	for i, s := range segments {
		var err error
		if segments[i], err = url.PathUnescape(s); err != nil {
			return nil, false
		}
	}
	return segments, true
}
