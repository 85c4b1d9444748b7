package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Replace is Restore where there may be a store already, which goes. If it is interrupted, call it
// again.
func Replace(ctx context.Context, file string, o MemberOptions) error {
	unlock, err := lockStore(o.Dir)
	if err != nil {
		return fmt.Errorf("replace store: %w", err)
	}
	defer unlock()
	data := filepath.Join(o.Dir, dataName)
	restored := data + ".restored"
	if err = os.RemoveAll(restored); err == nil {
		err = restore(ctx, file, restored, o, leap)
	}
	if err == nil { // what it takes is there now
		err = errors.Join(os.RemoveAll(data), os.RemoveAll(data+".lost"), os.RemoveAll(data+".revived"))
	}
	if err == nil {
		err = rename(restored, data)
	}
	if err != nil {
		return fmt.Errorf("replace store: %w", err)
	}
	return nil
}
