package sshtest

import (
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"
)

func (c *conn) tcpAllowed() bool  { return !c.server.opts.NoTCPForward }
func (c *conn) unixAllowed() bool { return c.tcpAllowed() && !c.server.opts.NoStreamLocal }

func (c *conn) openTCP(nc ssh.NewChannel) {
	var msg struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil || !c.tcpAllowed() {
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	c.server.wg.Go(func() { connect(nc, "tcp", net.JoinHostPort(msg.Host, portString(msg.Port))) })
}

func (c *conn) openUnix(nc ssh.NewChannel) {
	var msg struct {
		Path      string
		Reserved0 string
		Reserved1 uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &msg); err != nil || !c.unixAllowed() {
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	c.server.wg.Go(func() { connect(nc, "unix", msg.Path) })
}

func connect(nc ssh.NewChannel, network, addr string) {
	peer, err := net.Dial(network, addr)
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		_ = peer.Close()
		return
	}
	splice(ch, requests, peer)
}

// splice carries bytes both ways, each end of stream on its own, until both have ended or the
// channel has gone.
func splice(ch ssh.Channel, requests <-chan *ssh.Request, peer net.Conn) {
	defer ch.Close()
	defer peer.Close()
	back, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(ch, peer)
		_ = ch.CloseWrite()
	}()
	go func() { // requests ends with the channel
		defer close(gone)
		ssh.DiscardRequests(requests)
	}()
	_, err := io.Copy(peer, ch)
	if half, ok := peer.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
	}
	select {
	case <-back:
	case <-gone:
	}
}

type tcpForward struct {
	Host string
	Port uint32
}

func (c *conn) listenTCP(payload []byte) (bool, []byte) {
	var msg tcpForward
	if ssh.Unmarshal(payload, &msg) != nil || !c.tcpAllowed() {
		return false, nil
	}
	// As with GatewayPorts no, only loopback is ever bound, whatever was asked for.
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", portString(msg.Port)))
	if err != nil {
		return false, nil
	}
	port := uint32(l.Addr().(*net.TCPAddr).Port)
	c.forward("tcp "+portString(port), l, func(peer net.Conn) (string, []byte) {
		origin := peer.RemoteAddr().(*net.TCPAddr)
		return "forwarded-tcpip", ssh.Marshal(struct {
			Host       string
			Port       uint32
			OriginHost string
			OriginPort uint32
		}{msg.Host, port, origin.IP.String(), uint32(origin.Port)})
	})
	if msg.Port != 0 {
		return true, nil
	}
	return true, ssh.Marshal(struct{ Port uint32 }{port})
}

func (c *conn) cancelTCP(payload []byte) bool {
	var msg tcpForward
	return ssh.Unmarshal(payload, &msg) == nil && c.cancel("tcp "+portString(msg.Port))
}

// listenUnix binds a socket of mode 0600. As with StreamLocalBindUnlink no, a path that exists
// is refused and the socket stays behind when the connection ends.
func (c *conn) listenUnix(payload []byte) bool {
	var msg struct{ Path string }
	if ssh.Unmarshal(payload, &msg) != nil || !c.unixAllowed() {
		return false
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: msg.Path, Net: "unix"})
	if err != nil {
		return false
	}
	l.SetUnlinkOnClose(false)
	if os.Chmod(msg.Path, 0o600) != nil {
		_ = l.Close()
		return false
	}
	c.forward("unix "+msg.Path, l, func(net.Conn) (string, []byte) {
		return "forwarded-streamlocal@openssh.com", ssh.Marshal(struct{ Path, Reserved string }{Path: msg.Path})
	})
	return true
}

func (c *conn) cancelUnix(payload []byte) bool {
	var msg struct{ Path string }
	return ssh.Unmarshal(payload, &msg) == nil && c.cancel("unix "+msg.Path)
}

// forward opens a channel to the client for every connection that l accepts; open gives the
// channel's type and data.
func (c *conn) forward(key string, l net.Listener, open func(net.Conn) (string, []byte)) {
	c.mu.Lock()
	c.listeners[key] = l
	c.mu.Unlock()
	c.server.wg.Go(func() {
		for {
			peer, err := l.Accept()
			if err != nil {
				return
			}
			kind, data := open(peer)
			c.server.wg.Go(func() {
				ch, requests, err := c.ssh.OpenChannel(kind, data)
				if err != nil {
					_ = peer.Close()
					return
				}
				splice(ch, requests, peer)
			})
		}
	})
}

func (c *conn) cancel(key string) bool {
	c.mu.Lock()
	l, ok := c.listeners[key]
	delete(c.listeners, key)
	c.mu.Unlock()
	return ok && l.Close() == nil
}

func (c *conn) closeListeners() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.listeners {
		_ = l.Close()
	}
}

func portString(p uint32) string { return strconv.FormatUint(uint64(p), 10) }
