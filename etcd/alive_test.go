package etcd

import "testing"

func TestAlive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	m := found(t, s, newMember(t, "a", s.Authority()))
	if err := s.Authority().Alive(t.Context(), m.options.Peer); err != nil {
		t.Error(err)
	}
	stranger, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if stranger.Alive(t.Context(), m.options.Peer) == nil {
		t.Error("a member of another store counts")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Authority().Alive(t.Context(), m.options.Peer) == nil {
		t.Error("one that has ended is said to run")
	}
}
