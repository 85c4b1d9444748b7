package dial

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"spore/remote/dial/sshconfig"
)

func (r *reader) algorithms(s *settings) {
	known, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	s.hostKeyAlgos = r.algorithmList("hostkeyalgorithms", known.HostKeys, weak.HostKeys)
	s.kexAlgos = r.algorithmList("kexalgorithms", known.KeyExchanges, weak.KeyExchanges)
	s.ciphers = r.algorithmList("ciphers", known.Ciphers, weak.Ciphers)
	s.macs = r.algorithmList("macs", known.MACs, weak.MACs)
	if s.caAlgos = r.algorithmList("casignaturealgorithms", known.PublicKeyAuths, weak.PublicKeyAuths); s.caAlgos == nil {
		s.caAlgos = known.PublicKeyAuths
	}
	key := "pubkeyacceptedalgorithms"
	if _, ok := r.cfg.Get(key); !ok {
		key = "pubkeyacceptedkeytypes" // its name before OpenSSH 8.5
	}
	s.keyAlgos = r.algorithmList(key,
		union(known.PublicKeyAuths, known.HostKeys), union(weak.PublicKeyAuths, weak.HostKeys))
	s.rsaBits = r.number("requiredrsasize", 0)
}

// algorithmList reads a list of algorithms with OpenSSH's prefixes: + appends to the defaults,
// - removes from them, ^ puts first. Names nobody here knows are passed over; weak ones count
// only where they are named. It returns nil where nothing is set.
func (r *reader) algorithmList(key string, defaults, weak []string) []string {
	v, ok := r.cfg.Get(key)
	if !ok {
		return nil
	}
	spec := v.String()
	mode := spec[:min(1, len(spec))]
	if !strings.Contains("+-^", mode) {
		mode = ""
	}
	named := matching(strings.Split(spec[len(mode):], ","), slices.Concat(defaults, weak))
	list := named
	switch mode {
	case "+":
		list = union(defaults, named)
	case "^":
		list = union(named, defaults)
	case "-":
		list = slices.DeleteFunc(slices.Clone(defaults), func(a string) bool { return slices.Contains(named, a) })
	}
	if len(list) == 0 {
		r.fail(v.Pos, fmt.Errorf("none of the algorithms in %q is supported", spec))
	}
	return list
}

// matching returns those of known that a pattern matches, in the order of the patterns.
func matching(patterns, known []string) []string {
	var list []string
	for _, p := range patterns {
		for _, k := range known {
			if sshconfig.Match(p, k) && !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	return list
}

func union(a, b []string) []string {
	list := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// allowed reports whether PubkeyAcceptedAlgorithms and RequiredRSASize let key be offered.
func (s *settings) allowed(key ssh.PublicKey) bool {
	if bits := rsaBits(key); bits > 0 && bits < s.rsaBits {
		return false
	}
	return s.keyAlgos == nil || len(s.signatures(key)) > 0
}

// signatures are the signature algorithms that PubkeyAcceptedAlgorithms leaves for key.
func (s *settings) signatures(key ssh.PublicKey) []string {
	// A certificate's algorithm is named after the signature's; the signer knows only the latter.
	suffix := ""
	if isCertificate(key.Type()) {
		suffix = "-cert-v01@openssh.com"
	}
	return slices.DeleteFunc(signatureAlgorithms(plainKey(key)), func(a string) bool {
		name := a
		if suffix != "" {
			name = strings.TrimSuffix(a, "@openssh.com") + suffix
		}
		return !slices.Contains(s.keyAlgos, name)
	})
}

// restrict limits signer to those signatures.
func (s *settings) restrict(signer ssh.Signer) (ssh.Signer, error) {
	a, ok := signer.(ssh.AlgorithmSigner)
	if s.keyAlgos == nil || !ok || plainKey(signer.PublicKey()).Type() != ssh.KeyAlgoRSA {
		return signer, nil
	}
	limited, err := ssh.NewSignerWithAlgorithms(a, s.signatures(signer.PublicKey()))
	if err != nil {
		return nil, fmt.Errorf("limit key to PubkeyAcceptedAlgorithms: %w", err)
	}
	return limited, nil
}
