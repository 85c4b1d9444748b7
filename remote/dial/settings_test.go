package dial

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// environmentFor opens a Dialer whose home holds config as ~/.ssh/config.
func environmentFor(t *testing.T, config string, d *Dialer) (e *environment, home string) {
	t.Helper()
	home = t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Home, d.System = home, filepath.Join(home, "etc")
	if d.Getenv == nil {
		d.Getenv = func(string) string { return "" }
	}
	e, err := d.environment()
	if err != nil {
		t.Fatal(err)
	}
	e.user, e.uid, e.hostname = "me", "1000", "laptop.example"
	return e, home
}

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		config, host string
		dialer       *Dialer
		want         string // as show prints it; HOME stands for the home directory
	}{
		"nothing set": {"", "web1", &Dialer{},
			"me@web1:22 timeout=15s alive=5s×3 keys=HOME/.ssh/id_ed25519,HOME/.ssh/id_ecdsa,HOME/.ssh/id_rsa known=HOME/.ssh/known_hosts,HOME/.ssh/known_hosts2"},
		"the address wins": {"Host *\n User u\n Port 1\n", "root@web1:2", &Dialer{}, "root@web1:2"},
		"ssh_config":       {"Host web1\n HostName 192.0.2.1\n User u\n Port 2222\n", "web1", &Dialer{}, "u@192.0.2.1:2222"},
		"HostName %h":      {"Host web1\n HostName %h.example\n HostKeyAlias x\n", "web1", &Dialer{}, "me@web1.example:22 lookup=x:22"},
		"IPv6":             {"Host six\n HostName 2001:db8::1\n AddressFamily inet6\n", "six", &Dialer{}, "me@[2001:db8::1]:22 network=tcp6"},
		"tokens":           {"IdentityFile ~/k-%r-%h-%n-%p-%u-%i-%L-%%\nHost w\n HostName web.example\n", "root@w:2", &Dialer{}, "keys=HOME/k-root-web.example-w-2-me-1000-laptop-% explicit"},
		"variables": {"IdentityFile ${KEYS}/a\nIdentityAgent $MYAGENT\n", "w",
			&Dialer{Getenv: func(n string) string { return map[string]string{"KEYS": "/k", "MYAGENT": "/a"}[n] }}, "keys=/k/a explicit agent=/a"},
		"agent of the environment":  {"", "w", &Dialer{Getenv: func(n string) string { return map[string]string{"SSH_AUTH_SOCK": "/s"}[n] }}, "agent=/s"},
		"no agent":                  {"IdentityAgent none\n", "w", &Dialer{Getenv: func(string) string { return "/s" }}, "agent= "},
		"agent by path":             {"IdentityAgent ~/agent.%r\n", "root@w", &Dialer{}, "agent=HOME/agent.root"},
		"times":                     {"ConnectTimeout 1m30s\nServerAliveInterval 2\nServerAliveCountMax 7\n", "w", &Dialer{}, "timeout=1m30s alive=2s×7"},
		"no time at all":            {"ConnectTimeout 0\n", "w", &Dialer{}, "timeout=15s"},
		"keepalives off":            {"ServerAliveInterval 0\n", "w", &Dialer{}, "alive=0s×3"},
		"the flag's timeout wins":   {"ConnectTimeout 10\n", "w", &Dialer{Timeout: time.Second}, "timeout=1s"},
		"methods":                   {"PreferredAuthentications keyboard-interactive,gssapi-with-mic,publickey\nPasswordAuthentication no\n", "w", &Dialer{}, "methods=keyboard-interactive,publickey"},
		"no methods":                {"PubkeyAuthentication no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n", "w", &Dialer{}, "methods= "},
		"jump":                      {"ProxyJump a@b:1,[::1]:2,ssh://c\nProxyCommand none\n", "w", &Dialer{}, "jump=a@b:1,[::1]:2,c"},
		"jump none beats a command": {"Host w\n ProxyJump none\nHost *\n ProxyJump b\n", "w", &Dialer{}, "jump= "},
		"command":                   {"ProxyCommand nc '%h' %p # %r\n", "root@w", &Dialer{}, "command=nc 'w' 22 # root"},
		"jump named first":          {"ProxyJump b\nProxyCommand x\n", "w", &Dialer{}, "jump=b "},
		"command named first":       {"ProxyCommand none\nProxyJump b\n", "w", &Dialer{}, "jump= "},
		"jump with tokens":          {"ProxyJump %r@jump-%h\n", "root@w", &Dialer{}, "jump=root@jump-w "},
		"capitals":                  {"HostName WEB.example\nHostKeyAlias Box\nPort 022\n", "w", &Dialer{}, "me@web.example:22 lookup=box:22"},
		"key bound to the host":     {"PubkeyAuthentication host-bound\n", "w", &Dialer{}, "methods=publickey,password,keyboard-interactive"},
		"no command":                {"Host w\n ProxyCommand none\nHost *\n ProxyCommand x\n", "w", &Dialer{}, "command= "},
		"known hosts":               {"UserKnownHostsFile ~/a /b\nGlobalKnownHostsFile none\nHashKnownHosts yes\n", "w", &Dialer{}, "known=HOME/a,/b hash"},
		"accept-new":                {"StrictHostKeyChecking accept-new\n", "w", &Dialer{}, "accept"},
		"accept by flag":            {"StrictHostKeyChecking yes\n", "w", &Dialer{AcceptNew: true}, "accept"},
		"ask is yes":                {"StrictHostKeyChecking ask\n", "w", &Dialer{}, "strict"},
		"algorithms":                {"HostKeyAlgorithms ssh-ed25519,rsa-sha2-512,unheard-of\n", "w", &Dialer{}, "hostkeys=ssh-ed25519,rsa-sha2-512 "},
		"algorithms taken away":     {"Ciphers -*cbc*,aes*-ctr,3des*\n", "w", &Dialer{}, "ciphers=aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com "},
		"batch":                     {"BatchMode yes\nNumberOfPasswordPrompts 1\nIdentitiesOnly yes\n", "w", &Dialer{}, "batch only prompts=1"},
	} {
		t.Run(name, func(t *testing.T) {
			e, home := environmentFor(t, tc.config, tc.dialer)
			target, err := Parse(tc.host)
			if err != nil {
				t.Fatal(err)
			}
			s, err := e.resolve(target)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(show(s), home, "HOME")
			for _, want := range strings.SplitAfter(tc.want, " ") {
				if !strings.Contains(tc.want, "command=") && !strings.Contains(got, " "+want) {
					t.Errorf("settings are%s\nwhich lack %q", got, want)
				}
			}
			if strings.Contains(tc.want, "command=") && !strings.Contains(got, tc.want) {
				t.Errorf("settings are%s\nwhich lack %q", got, tc.want)
			}
		})
	}
}

// show prints settings on one line, each preceded and followed by a blank.
func show(s *settings) string {
	jump := make([]string, len(s.jump))
	for i, j := range s.jump {
		jump[i] = j.String()
	}
	words := []string{"", s.id(),
		"lookup=" + s.lookup(), "network=" + s.network,
		fmt.Sprint("timeout=", s.timeout), fmt.Sprintf("alive=%v×%d", s.keepalive, s.keepaliveMax),
		"keys=" + strings.Join(s.identities, ","), "agent=" + s.agent,
		"methods=" + strings.Join(s.methods, ","), "jump=" + strings.Join(jump, ","),
		"known=" + strings.Join(s.userKnownHosts, ","),
		"hostkeys=" + strings.Join(s.hostKeyAlgos, ","), "ciphers=" + strings.Join(s.ciphers, ","),
		fmt.Sprint("prompts=", s.passwordPrompts),
	}
	for word, on := range map[string]bool{
		"explicit": s.explicit, "hash": s.hashKnownHosts, "accept": s.acceptNew, "strict": !s.acceptNew,
		"batch": s.batch, "only": s.identitiesOnly,
	} {
		if on {
			words = append(words, word)
		}
	}
	return strings.Join(append(words, "command="+s.proxyCommand, ""), " ")
}

func TestSettingsRefuses(t *testing.T) {
	for config, want := range map[string]string{
		"Host w\n IdentitiesOnly maybe\n":   "config:2: maybe is neither yes nor no",
		"ConnectTimeout soon\n":             `config:1: "soon" is not a time`,
		"ServerAliveCountMax x\n":           "config:1: x is not a number",
		"IdentityFile ~/%C\n":               "config:1: the token %C is not supported",
		"ProxyCommand nc %h %\n":            "config:1: the token % is not supported",
		"ProxyJump a,b:x\n":                 "config:1: parse host address: port",
		"HostKeyAlgorithms nothing-known\n": "config:1: none of the algorithms",
		"Port ssh\n":                        `config:1: port "ssh" is not a number`,
	} {
		e, _ := environmentFor(t, config, new(Dialer))
		_, err := e.resolve(Target{Host: "w"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "configure ssh for w: ") {
			t.Errorf("%q: error %v, want %q", config, err, want)
		}
	}
}

// What vagrant ssh-config prints, word for word but for the paths.
const vagrant = `Host default
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/home/me/my boxes/.vagrant/machines/default/virtualbox/private_key"
  IdentitiesOnly yes
  LogLevel FATAL
  PubkeyAcceptedKeyTypes +ssh-rsa
  HostKeyAlgorithms +ssh-rsa
`

func TestVagrant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vagrant")
	if err := os.WriteFile(path, []byte(vagrant), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	e, _ := environmentFor(t, "Host *\n User ignored\n", &Dialer{Config: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		s, err := e.resolve(Target{Host: "default"})
		if err != nil {
			t.Fatal(err)
		}
		if s.id() != "vagrant@127.0.0.1:2222" || !s.acceptNew || !s.identitiesOnly || slices.Contains(s.methods, methodPassword) ||
			!slices.Equal(s.identities, []string{"/home/me/my boxes/.vagrant/machines/default/virtualbox/private_key"}) ||
			!slices.Equal(s.userKnownHosts, []string{"/dev/null"}) || !slices.Contains(s.hostKeyAlgos, "ssh-rsa") {
			t.Errorf("settings are%s", show(s))
		}
	}
	for _, want := range []string{path + ":6", "accept-new", path + ":5", "no key is remembered"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log says %s once expected: %s", want, log.String())
		}
	}
}

func TestWarnsOfWhatIsNotHonoured(t *testing.T) {
	var log bytes.Buffer
	config := "BindAddress 192.0.2.1\nVerifyHostKeyDNS no\nCanonicalizeHostname yes\nMatch exec true\n User x\nHost other\n KnownHostsCommand x\n"
	e, _ := environmentFor(t, config, &Dialer{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := e.resolve(Target{Host: "w"}); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"config:1: bindaddress": 1, "config:3: canon": 1, "config:4: Match exec": 1, "level=WARN": 3} {
		if strings.Count(log.String(), want) != n {
			t.Errorf("%q is not there %d times in %s", want, n, log.String())
		}
	}
}

func TestWarnsOfKeywordsNobodyKnows(t *testing.T) {
	var log bytes.Buffer
	config := "IgnoreUnknown Use*\nUseWhatever yes\nProxyJmp bastion\nControlMaster auto\nHost other\n Typo x\n"
	e, _ := environmentFor(t, config, &Dialer{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := e.resolve(Target{Host: "w"}); err != nil {
		t.Fatal(err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "config:3: proxyjmp is no keyword") {
		t.Errorf("log: %s", log.String())
	}
}

func TestRoute(t *testing.T) {
	for name, tc := range map[string]struct{ config, want, wantErr string }{
		"direct":              {"", "w", ""},
		"one":                 {"Host w\n ProxyJump b\n", "b → w", ""},
		"nested":              {"Host w\n ProxyJump b\nHost b\n ProxyJump a\n", "a → b → w", ""},
		"list":                {"Host w\n ProxyJump a,b\n", "a → b → w", ""},
		"list and nested":     {"Host w\n ProxyJump a,b\nHost a\n ProxyJump z\nHost b\n ProxyJump ignored\n", "z → a → b → w", ""},
		"none":                {"Host b\n ProxyJump none\nHost *\n ProxyJump b\n", "b → w", ""},
		"star means the jump": {"Host *\n ProxyJump b\n", "b → w", ""},
		"circle":              {"Host w\n ProxyJump b\nHost b\n ProxyJump a\nHost a\n ProxyJump b\n", "", "circle: b → a → b → w"},
		"circle home":         {"Host w\n ProxyJump b\nHost b\n ProxyJump w\n", "", "circle: w → b → w"},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := environmentFor(t, tc.config, new(Dialer))
			route, err := e.route(Target{Host: "w"})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || describe(route) != tc.want {
				t.Errorf("route %q, %v, want %q", describe(route), err, tc.want)
			}
		})
	}
}
