package dial

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"spore/remote/dial/sshconfig"
)

// Times that hold where ssh_config says nothing. Three unanswered keepalives of 5 s end a
// connection 20 s after the last byte came.
const (
	defaultTimeout   = 15 * time.Second
	defaultKeepalive = 5 * time.Second
	defaultAliveMax  = 3
	defaultTries     = 3
)

// Names of the authentication methods, in the order in which they are tried.
const (
	methodKey         = "publickey"
	methodPassword    = "password"
	methodInteractive = "keyboard-interactive"
)

// settings are everything that ssh_config and the Target say of one host.
type settings struct {
	target           Target
	host, port, user string
	network          string // tcp, tcp4 or tcp6
	timeout          time.Duration
	keepalive        time.Duration // 0 sends none
	keepaliveMax     int

	jump         []Target
	proxyCommand string

	identities      []string // key files in order
	explicit        bool     // the files are the configuration's, not the defaults
	certificates    []string
	identitiesOnly  bool
	agent           string // socket; "" is none
	methods         []string
	batch           bool // never ask
	passwordPrompts int

	acceptNew        bool
	hashKnownHosts   bool
	hostKeyAlias     string
	userKnownHosts   []string
	globalKnownHosts []string
	revoked          []string // files of keys that no host may show

	// Algorithms; nil where nothing is set.
	hostKeyAlgos, kexAlgos, ciphers, macs []string
	caAlgos, keyAlgos                     []string
	rsaBits                               int // the least that an RSA key must have
}

func (s *settings) addr() string { return net.JoinHostPort(s.host, s.port) }

// id tells connections apart that end at different places or as different users.
func (s *settings) id() string { return s.user + "@" + s.addr() }

// lookup is the address to look up in known_hosts, always with a port.
func (s *settings) lookup() string {
	if s.hostKeyAlias != "" {
		return net.JoinHostPort(s.hostKeyAlias, "22")
	}
	return s.addr()
}

// A reader turns keywords into settings, keeping the first error.
type reader struct {
	cfg    *sshconfig.Settings
	env    *environment
	tokens map[byte]string
	err    error
}

// settings resolves t, with jump in place of what the configuration says of jump hosts if it
// is not nil.
func (e *environment) settings(t Target, cfg *sshconfig.Settings) (*settings, error) {
	r := &reader{cfg: cfg, env: e}
	s := &settings{target: t}
	s.host = t.Host
	r.tokens = map[byte]string{'%': "%", 'h': t.Host}
	if v := r.text("hostname"); v != "" {
		s.host = r.expand("hostname", v)
	}
	if !isIPv6(s.host) { // whose zone is told apart by case
		s.host = strings.ToLower(s.host)
	}
	s.port = r.port(t)
	s.user = cmp.Or(t.User, r.text("user"), e.user)
	short, _, _ := strings.Cut(e.hostname, ".")
	r.tokens = map[byte]string{
		'%': "%", 'h': s.host, 'n': t.Host, 'p': s.port, 'r': s.user,
		'u': e.user, 'i': e.uid, 'd': e.home, 'l': e.hostname, 'L': short,
	}
	s.hostKeyAlias = strings.ToLower(r.text("hostkeyalias"))
	r.tokens['k'] = cmp.Or(s.hostKeyAlias, t.Host)
	r.connection(s)
	r.authentication(s)
	r.trust(s)
	if r.err != nil {
		return nil, fmt.Errorf("configure ssh for %s: %w", t.Name(), r.err)
	}
	return s, nil
}

func (r *reader) port(t Target) string {
	v, ok := r.cfg.Get("port")
	if t.Port != "" || !ok {
		return cmp.Or(t.Port, "22")
	}
	n, err := strconv.ParseUint(v.String(), 10, 16)
	if err != nil || n == 0 {
		r.fail(v.Pos, fmt.Errorf("port %q is not a number from 1 to 65535", v))
	}
	return strconv.FormatUint(n, 10)
}

func (r *reader) connection(s *settings) {
	s.network = "tcp"
	switch strings.ToLower(r.text("addressfamily")) {
	case "inet":
		s.network = "tcp4"
	case "inet6":
		s.network = "tcp6"
	}
	s.timeout = r.env.timeout
	if s.timeout <= 0 {
		s.timeout = cmp.Or(r.seconds("connecttimeout", defaultTimeout), defaultTimeout)
	}
	s.keepalive = r.seconds("serveraliveinterval", defaultKeepalive)
	s.keepaliveMax = max(1, r.number("serveralivecountmax", defaultAliveMax))
	jump, hasJump := r.cfg.Get("proxyjump")
	command, hasCommand := r.cfg.Get("proxycommand")
	if hasJump && !isNone(jump) {
		r.jumps(s, jump)
	} else if hasCommand && !isNone(command) {
		s.proxyCommand = r.expand("proxycommand", command.Raw)
	}
}

func (r *reader) jumps(s *settings, v sshconfig.Value) {
	for hop := range strings.SplitSeq(v.String(), ",") {
		t, err := Parse(r.expand("proxyjump", strings.TrimSpace(hop)))
		if err != nil {
			r.fail(v.Pos, err)
			return
		}
		s.jump = append(s.jump, t)
	}
}

func (r *reader) authentication(s *settings) {
	s.identities = r.files("identityfile")
	_, s.explicit = r.cfg.Get("identityfile")
	if !s.explicit {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			s.identities = append(s.identities, filepath.Join(r.env.home, ".ssh", name))
		}
	}
	s.certificates = r.files("certificatefile")
	s.identitiesOnly = r.flag("identitiesonly", false)
	s.batch = r.flag("batchmode", false)
	s.passwordPrompts = max(0, r.number("numberofpasswordprompts", defaultTries))
	s.agent = r.agentSocket()
	s.methods = r.methods()
}

// agentSocket resolves IdentityAgent, which may be none, SSH_AUTH_SOCK, $VARIABLE or a path.
func (r *reader) agentSocket() string {
	v := r.text("identityagent")
	switch {
	case v == "none":
		return ""
	case v == "" || v == "SSH_AUTH_SOCK":
		return r.env.getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${"):
		return r.env.getenv(v[1:])
	}
	return r.path("identityagent", v)
}

func (r *reader) methods() []string {
	on := map[string]bool{
		methodKey:         r.flag("pubkeyauthentication", true, "unbound", "host-bound"),
		methodPassword:    r.flag("passwordauthentication", true),
		methodInteractive: r.flag("kbdinteractiveauthentication", r.flag("challengeresponseauthentication", true)),
	}
	order := []string{methodKey, methodPassword, methodInteractive}
	if v := r.text("preferredauthentications"); v != "" {
		order = strings.Split(v, ",")
	}
	return slices.DeleteFunc(order, func(m string) bool { return !on[m] })
}

func (r *reader) trust(s *settings) {
	switch strings.ToLower(r.text("stricthostkeychecking")) {
	case "no", "off", "false", "accept-new":
		s.acceptNew = true
	}
	s.acceptNew = s.acceptNew || r.env.acceptNew
	s.hashKnownHosts = r.flag("hashknownhosts", false)
	ssh := filepath.Join(r.env.home, ".ssh")
	s.userKnownHosts = r.fileList("userknownhostsfile",
		filepath.Join(ssh, "known_hosts"), filepath.Join(ssh, "known_hosts2"))
	s.globalKnownHosts = r.fileList("globalknownhostsfile",
		filepath.Join(r.env.system, "ssh_known_hosts"), filepath.Join(r.env.system, "ssh_known_hosts2"))
	s.revoked = r.fileList("revokedhostkeys")
	r.algorithms(s)
}
