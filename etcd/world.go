package etcd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"spore/engine"
)

// exported is the value of an export's key, which holds the rest.
type exported struct {
	Meta engine.Meta     `json:"meta"`
	Spec json.RawMessage `json:"spec"`
}

// Export implements [engine.World].
func (c *Client) Export(ctx context.Context, exports []engine.Export) error {
	own := make(map[string][]byte, len(exports))
	for _, e := range exports {
		value, err := encode(exported{e.Meta, e.Spec})
		if err == nil {
			err = checkSize(value)
		}
		if err != nil {
			return fmt.Errorf("export %s/%s: %w", e.Kind, e.Name, err)
		}
		own[exportKey(e.Kind, c.host, e.Name)] = value
	}
	err := c.session.set(ctx, func(wanted map[string][]byte) {
		c.session.stale = false
		for key := range wanted {
			if strings.HasPrefix(key, exportsPrefix) {
				delete(wanted, key)
			}
		}
		for key, value := range own {
			wanted[key] = value
		}
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// encode is json.Marshal, but leaves < and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func checkSize[T []byte | string](value T) error {
	if len(value) > maxValue {
		return fmt.Errorf("it takes %d bytes, and the store holds at most %d: send large content as a file", len(value), maxValue)
	}
	return nil
}

// Collect implements [engine.World].
func (c *Client) Collect(ctx context.Context, kinds []string, changed func([]engine.Export)) error {
	kinds = slices.Compact(slices.Sorted(slices.Values(kinds)))
	col := &collection{
		client: c, changed: changed, unread: len(kinds),
		found: make(map[string]map[string]engine.Export), warned: make(map[string]bool),
	}
	if len(kinds) == 0 {
		c.stream.mu.Lock()
		changed(nil)
		c.stream.mu.Unlock()
		<-ctx.Done()
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, kind := range kinds {
		group.Go(func() error {
			err := c.stream.follow(ctx, span{kindPrefix(kind), true}, func(ch change) { col.update(kind, ch) })
			if err != nil {
				return fmt.Errorf("collect %s: %w", kind, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// A collection is what one Collect has found. The stream calls update from one goroutine at a time.
type collection struct {
	client  *Client
	changed func([]engine.Export)
	unread  int                                 // kinds of which nothing was heard yet
	found   map[string]map[string]engine.Export // by kind and key
	warned  map[string]bool                     // keys
}

func (c *collection) update(kind string, ch change) {
	if ch.whole {
		if c.found[kind] == nil {
			c.unread--
		}
		c.found[kind] = make(map[string]engine.Export)
	}
	for _, event := range ch.events {
		key := string(event.Kv.Key)
		delete(c.found[kind], key)
		if isDelete(event) {
			continue
		}
		e, err := decodeExport(event.Kv)
		if err == nil {
			c.found[kind][key] = e
		} else if !c.warned[key] {
			c.warned[key] = true
			c.client.log.Warn("another host exports what cannot be read, and it is left out", "key", key, "error", err)
		}
	}
	if c.unread == 0 {
		c.changed(c.list())
	}
}

func (c *collection) list() []engine.Export {
	var all []engine.Export
	for _, exports := range c.found {
		for _, e := range exports {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b engine.Export) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Host, b.Host), strings.Compare(a.Name, b.Name))
	})
	return all
}

// decodeExport reads what a host wrote, which may be anything.
func decodeExport(kv *mvccpb.KeyValue) (engine.Export, error) {
	if err := checkSize(kv.Value); err != nil {
		return engine.Export{}, err
	}
	segments, ok := splitKey(string(kv.Key), exportsPrefix, 3)
	if !ok {
		return engine.Export{}, fmt.Errorf("its key is not of the form kind/host/name")
	}
	var v exported
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return engine.Export{}, err
	}
	return engine.Export{Kind: segments[0], Host: segments[1], Name: segments[2], Meta: v.Meta, Spec: v.Spec}, nil
}

func isDelete(e *mvccpb.Event) bool { return e.Type == mvccpb.Event_DELETE }

// Watch implements [engine.World].
func (c *Client) Watch(ctx context.Context, key string, changed func()) error {
	err := c.stream.follow(ctx, span{key: valueKey(key)}, func(change) { changed() })
	if err != nil {
		return fmt.Errorf("watch value of %q: %w", key, err)
	}
	return nil
}

// Get implements [engine.World].
func (c *Client) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	resp, err := call(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return c.etcd.Get(ctx, valueKey(key))
	})
	switch {
	case err != nil:
		return "", false, fmt.Errorf("get value of %q: %w", key, err)
	case len(resp.Kvs) == 0:
		return "", false, nil
	default:
		return string(resp.Kvs[0].Value), true, nil
	}
}

// Put implements [engine.World].
func (c *Client) Put(ctx context.Context, key string, value *string) error {
	var err error
	if value == nil {
		err = c.session.do(ctx, clientv3.OpDelete(valueKey(key)))
	} else if err = checkSize(*value); err == nil {
		err = c.session.do(ctx, clientv3.OpPut(valueKey(key), *value))
	}
	if err != nil {
		return fmt.Errorf("put value of %q: %w", key, err)
	}
	return nil
}
