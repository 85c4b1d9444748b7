package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// makeVolumes gives the host the file systems of Options.Volumes. They are mounted on the machine,
// below the host's root, and go into the host with that: a boot of the host is nothing to them.
func (h *Host) makeVolumes(ctx context.Context) error {
	for dir, size := range h.lab.state.Volumes {
		image := filepath.Join(h.lab.state.disk(h.Name), strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")+".ext4")
		point := filepath.Join(h.Root(), dir)
		if err := os.MkdirAll(point, 0o755); err != nil {
			return err
		}
		for _, argv := range [][]string{
			{"mkfs.ext4", "-q", "-F", "-m", "0", image, size},
			{"mount", "-o", "loop", image, point},
			{"rmdir", filepath.Join(point, "lost+found")},
		} {
			if _, err := run(ctx, nil, argv...); err != nil {
				return fmt.Errorf("make volume %s of host %s: %w", dir, h.Name, err)
			}
		}
	}
	return nil
}

// volumes are those of the options, by the names that they go by.
func volumes(asked map[string]string) map[string]string {
	out := map[string]string{}
	for dir, size := range asked {
		out[filepath.Clean(dir)] = size
	}
	return out
}

// Destroy takes the host away for good: it is powered off and its disk removed. Starting it again
// is an error.
func (h *Host) Destroy(ctx context.Context) error {
	unlock, err := h.exclusive(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	supervisor, leader := h.processes()
	if leader.alive() {
		leader.kill()
		if err := h.awaitDown(ctx, supervisor); err != nil {
			return err
		}
	}
	if err := removeDisk(h.lab.state.disk(h.Name)); err != nil {
		return fmt.Errorf("destroy host %s: %w", h.Name, err)
	}
	return nil
}
