package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notifier speaks sd_notify(3) with the service manager, where there is one.
// What cannot be sent is left: the manager sees that by itself.
type notifier struct{}

func (notifier) send(state string) { systemd.SdNotify(false, state) }

// supervised reports whether a service manager waits for our word.
func (notifier) supervised() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

func (n notifier) ready(status string) { n.send(systemd.SdNotifyReady + "\nSTATUS=" + status) }
func (n notifier) stopping()           { n.send(systemd.SdNotifyStopping + "\nSTATUS=Stopping") }

// main tells that another process of the unit is the main one from now on.
func (n notifier) main(pid int) { n.send(fmt.Sprintf("MAINPID=%d", pid)) }

// reloading tells the monotonic time too, without which Type=notify-reload
// would not know this reload from an earlier one.
func (n notifier) reloading() {
	state := systemd.SdNotifyReloading
	if t := monotonic(); t > 0 {
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", t.Microseconds())
	}
	n.send(state)
}

// watchdog tells the manager that the daemon is alive, as often as it wants to
// hear it, and only after a request has come through the daemon's own port.
func (d *daemon) watchdog(ctx context.Context) error {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
	}
	beat := time.NewTicker(interval / 3)
	defer beat.Stop()
	for { // at once: the manager's time runs on over handovers
		if err := d.check(ctx, interval/4); err == nil {
			d.notify.send(systemd.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			d.log.Error("the self-check failed: the service manager's watchdog is not notified", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
	}
}

// check asks for GET /health over TCP.
func (d *daemon) check(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.sockets.HTTP[0].Addr().String()+"/health", nil)
	if err != nil {
		return err
	}
	d.selfChecks.Add(1)
	req.Host = net.JoinHostPort("localhost", strconv.Itoa(d.sockets.Port))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("/health answered %s", resp.Status)
	}
	return nil
}
