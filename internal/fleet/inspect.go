package fleet

import (
	"context"
	"errors"
	"fmt"

	"spore/internal/bundle"
	"spore/internal/resident"
)

// inspect finds out, before anything is changed, whether every host can become one of a cluster.
func (d *detachment) inspect(ctx context.Context) error {
	for _, m := range d.members {
		if _, _, err := bundle.Pack(m.manifest.Files); err != nil {
			return fmt.Errorf("%s: %w", m.manifest.File, err)
		}
	}
	return all(d.hosts, func(j *joining) error {
		if err := j.look(ctx, d.Record.Cluster.ID); err != nil {
			return err
		}
		switch {
		case !j.info.Root:
			return errors.New("what stays there has to run as root: log in as root or use --become")
		case j.info.Cluster != "" && j.info.Cluster != d.Record.Cluster.ID:
			return fmt.Errorf("it belongs to the cluster %s already: have it leave that first, with spore leave", j.info.Name)
		}
		return nil
	})
}

// warn names the hosts that will not be as they were when they have booted.
func (d *detachment) warn() {
	for _, j := range d.hosts {
		if j.info.Init == "" {
			j.log.Warn("nothing that is known of this host starts spore at boot: have it run /var/lib/spore/bin/spore resident start")
		}
	}
}

// look finds out how the host stands. What was installed for another cluster and never started is what
// an earlier attempt left that was killed: it goes.
func (j *joining) look(ctx context.Context, cluster string) error {
	err := j.resident(ctx, nil, &j.info, "info")
	if err != nil || !j.info.Root || j.info.Cluster == "" || j.info.Cluster == cluster {
		return err
	}
	if err := j.resident(ctx, nil, nil, "discard"); err != nil {
		return err
	}
	j.info = resident.Info{}
	return j.resident(ctx, nil, &j.info, "info")
}
