package daemon

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hostless/hostless/pkg/hosts"
)

// hostsDelay combines the changes of apps that start at the same time.
const hostsDelay = 50 * time.Millisecond

// routesChanged makes syncHosts check the hosts file soon. It never blocks.
func (d *daemon) routesChanged() {
	select {
	case d.hostsChanged <- struct{}{}:
	default:
	}
}

// syncHosts keeps the names of apps in the hosts file while the setting hosts-sync is on,
// until ctx ends. It leaves its entries there, which lead to loopback.
func (d *daemon) syncHosts(ctx context.Context) error {
	getenv := d.cfg.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	file := hosts.Locate("", getenv)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.hostsChanged:
		}
		if !d.settings.HostsSync() {
			d.warnings.set("hosts", nil)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(hostsDelay):
		}
		names := []string{}
		for _, r := range d.routes.List() {
			names = append(names, d.appHosts(r.Hostname)...)
		}
		_, err := file.Sync(names)
		if err != nil {
			d.log.Debug("the hosts file cannot be written", "error", err)
			d.warnings.set("hosts", []string{fmt.Sprintf("hosts-sync is on, but %v: hostless run tries sudo for it, or: sudo setfacl -m u:%d:rw %s", err, d.uid, file.Path)})
			continue
		}
		d.warnings.set("hosts", nil)
	}
}
