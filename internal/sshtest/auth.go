package sshtest

import (
	"bytes"
	"crypto/subtle"
	"errors"

	"golang.org/x/crypto/ssh"
)

var errDenied = errors.New("permission denied")

// denied refuses a log-in, with the words that the Options have for it.
func (s *Server) denied() error {
	if s.opts.Refusal == "" {
		return errDenied
	}
	return &ssh.BannerError{Err: errDenied, Message: s.opts.Refusal}
}

func (s *Server) serverConfig() *ssh.ServerConfig {
	tries := s.opts.MaxAuthTries
	if tries == 0 {
		tries = 6
	}
	config := &ssh.ServerConfig{MaxAuthTries: tries, ServerVersion: "SSH-2.0-sshtest"}
	for _, k := range s.hostKeys {
		config.AddHostKey(k)
	}
	if s.opts.Banner != "" {
		config.BannerCallback = func(ssh.ConnMetadata) string { return s.opts.Banner }
	}
	if len(s.opts.AuthorizedKeys) > 0 || s.opts.UserCA != nil {
		config.PublicKeyCallback = s.checkKey
	}
	if s.opts.Password != "" {
		config.PasswordCallback = s.checkPassword
	}
	if len(s.opts.Questions) > 0 && !s.opts.SecondFactor {
		config.KeyboardInteractiveCallback = s.interview
	}
	return config
}

func (s *Server) userAllowed(meta ssh.ConnMetadata) bool {
	return s.opts.User == "" || s.opts.User == meta.User()
}

func (s *Server) checkKey(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if !s.userAllowed(meta) {
		return nil, s.denied()
	}
	if _, ok := key.(*ssh.Certificate); ok && s.opts.UserCA != nil {
		checker := ssh.CertChecker{IsUserAuthority: func(ca ssh.PublicKey) bool {
			return bytes.Equal(ca.Marshal(), s.opts.UserCA.Marshal())
		}}
		perms, err := checker.Authenticate(meta, key)
		if err != nil {
			return nil, err
		}
		return s.factor(perms)
	}
	for _, k := range s.opts.AuthorizedKeys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return s.factor(&ssh.Permissions{})
		}
	}
	return nil, s.denied()
}

func (s *Server) checkPassword(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if !s.userAllowed(meta) || subtle.ConstantTimeCompare(password, []byte(s.opts.Password)) == 0 {
		return nil, s.denied()
	}
	return s.factor(&ssh.Permissions{})
}

// factor lets the user in, or goes on to the questions where these are a second factor.
func (s *Server) factor(perms *ssh.Permissions) (*ssh.Permissions, error) {
	if !s.opts.SecondFactor {
		return perms, nil
	}
	return nil, &ssh.PartialSuccessError{
		Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: s.interview},
	}
}

func (s *Server) interview(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	if !s.userAllowed(meta) {
		return nil, s.denied()
	}
	var texts []string
	var echos []bool
	for _, q := range s.opts.Questions {
		texts, echos = append(texts, q.Text), append(echos, q.Echo)
	}
	answers, err := ask(meta.User(), "", texts, echos)
	if err != nil || len(answers) != len(texts) {
		return nil, s.denied()
	}
	for i, q := range s.opts.Questions {
		if answers[i] != q.Answer {
			return nil, s.denied()
		}
	}
	return &ssh.Permissions{}, nil
}
