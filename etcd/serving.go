package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// MemberOptions say which member of a store a host is.
type MemberOptions struct {
	Dir  string // private to the user (0700); data holds the store, beside certificates and sockets
	Name string // of the host
	Peer string // host:port at which the other members reach it; clients use the next port
	// Initial are the members to begin with, and this one: peer URLs by host. It counts while there
	// is no data.
	Initial   map[string]string
	Existing  bool   // those in Initial serve the store, and this one joins them
	Cluster   string // the ID of the Cluster
	Authority *Authority
	Log       *slog.Logger
}

// ErrRemoved says that the members have removed this one. Its data is of no more use.
var ErrRemoved = errors.New("the store has removed this member")

// A Serving is a running member of a store.
type Serving struct {
	*node
	options  MemberOptions
	endpoint string
	unlock   func()
}

// StartMember starts a member and does not wait for it to be Ready: that takes a majority. Joining
// takes one member that answers.
func StartMember(ctx context.Context, o MemberOptions) (*Serving, error) {
	for deadline := time.Now().Add(callTimeout); ; {
		s := &Serving{node: newNode(), options: o}
		s.patience = closeMemberTimeout
		err := s.start(ctx)
		if err == nil {
			go s.watch()
			return s, nil
		}
		// Whom it asked may have yet to hear that there is this member.
		if !o.Existing || !strings.Contains(err.Error(), "error validating peerURLs") || time.Now().After(deadline) {
			return nil, fmt.Errorf("start member of the store: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(retryPause):
		}
	}
}

func (s *Serving) start(ctx context.Context) error {
	unlock, err := lockStore(s.options.Dir)
	if err != nil {
		return err
	}
	config, err := memberConfig(s.options, s.node, newZap(s.options.Log, s.fatal))
	if err != nil {
		unlock()
		return err
	}
	if err := s.node.start(ctx, config, unlock); err != nil {
		return err
	}
	s.unlock = unlock
	network, address, err := listening(config)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if s.endpoint = address; network == "unix" {
		s.endpoint = "unix://" + address
	}
	return nil
}

// lockStore makes sure that nothing else uses the store in dir: a second etcd would wait for ever.
func lockStore(dir string) (unlock func(), err error) {
	if err := private(dir); err != nil {
		return nil, err
	}
	lock, err := fileutil.TryLockFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("another process uses the store in %s", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	return sync.OnceFunc(func() { _ = lock.Close() }), nil
}

// memberConfig returns the configuration of a member that others reach.
func memberConfig(o MemberOptions, n *node, logger *zap.Logger) (*embed.Config, error) {
	peerURL, clientURL, err := memberURLs(o.Peer)
	if err != nil {
		return nil, err
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	c, err := newConfig(o.Dir, o.Authority, n, logger)
	if err != nil {
		return nil, err
	}
	c.Name = memberName(o.Name)
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{bind(peerURL, own)}, []url.URL{peerURL}
	c.ListenClientUrls = append(c.ListenClientUrls, bind(clientURL, own))
	c.AdvertiseClientUrls = []url.URL{clientURL}
	c.TickMs, c.ElectionMs = 100, 1000
	c.StrictReconfigCheck = false // it would keep a learner from being promoted while another is down
	c.InitialCluster = initialCluster(o, peerURL.String())
	c.InitialClusterToken = o.Cluster
	if o.Existing {
		c.ClusterState = embed.ClusterStateFlagExisting
	}
	return c, nil
}

// initialCluster lists the members to begin with, as etcd wants them.
func initialCluster(o MemberOptions, own string) string {
	initial := maps.Clone(o.Initial)
	if initial == nil {
		initial = make(map[string]string)
	}
	initial[o.Name] = own
	var list []string
	for _, host := range slices.Sorted(maps.Keys(initial)) {
		list = append(list, memberName(host)+"="+initial[host])
	}
	return strings.Join(list, ",")
}

// removalPoll is how often a member looks whether it has been removed. etcd, a second after that,
// takes its database away from under the calls that are still under way.
const removalPoll = 100 * time.Millisecond

// fatal is where etcd would end the process. It does for want of itself among the members, too, if a
// call comes between its removal and the next look.
func (s *Serving) fatal(message string) {
	server := s.guard.server.Load()
	if server == nil {
		s.node.fatal(message)
		return
	}
	go func() { // the caller may hold the lock that the answer takes, and lets go of it as it ends
		if server.IsIDRemoved(uint64(server.MemberID())) {
			s.end(ErrRemoved)
			return
		}
		s.node.fatal(message)
	}()
}

// watch ends the member when etcd has ended by itself, and in time when it has been removed.
func (s *Serving) watch() {
	ticker := time.NewTicker(removalPoll)
	defer ticker.Stop()
	server := s.embedded.Server
	for {
		select {
		case <-s.done:
			return
		case err := <-s.embedded.Err():
			s.end(fmt.Errorf("store failed: %w", err))
		case <-server.StoppingNotify():
			// It does so by itself only when told that it is no member: by the others, if it was
			// not there to see its own removal.
			s.end(ErrRemoved)
		case <-ticker.C:
			if server.IsIDRemoved(uint64(server.MemberID())) {
				s.end(ErrRemoved)
			}
		}
	}
}

// Ready is closed when the member has found its way into the store and serves.
func (s *Serving) Ready() <-chan struct{} { return s.embedded.Server.ReadyNotify() }

// ID is what the members know this one by.
func (s *Serving) ID() uint64 { return uint64(s.embedded.Server.MemberID()) }

// Endpoint is where clients on this machine reach the member.
func (s *Serving) Endpoint() string { return s.endpoint }

// Renew issues the member's certificates anew. Whoever connects from then on gets them.
func (s *Serving) Renew() error {
	for name, template := range map[string]func() *x509.Certificate{serverName: serverTemplate, peerName: peerTemplate} {
		if err := renew(s.options.Dir, name, s.options.Authority, template()); err != nil {
			return fmt.Errorf("renew certificates of the store: %w", err)
		}
	}
	return nil
}

// Close ends the member. The store goes on if it has a majority without it.
func (s *Serving) Close() error {
	err := s.close()
	if err == nil {
		s.unlock()
	}
	return err
}
