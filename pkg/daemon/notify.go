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

// notifier sends sd_notify(3) messages to the service manager, if there is one. It ignores
// errors, since the manager notices missing messages itself.
type notifier struct{}

func (notifier) send(state string) { systemd.SdNotify(false, state) }

// supervised reports whether a service manager waits for notifications.
func (notifier) supervised() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

func (n notifier) ready(status string) { n.send(systemd.SdNotifyReady + "\nSTATUS=" + status) }
func (n notifier) stopping()           { n.send(systemd.SdNotifyStopping + "\nSTATUS=Stopping") }

// main reports that another process of the unit is now the main process.
func (n notifier) main(pid int) { n.send(fmt.Sprintf("MAINPID=%d", pid)) }

// reloading reports a reload with the monotonic time, by which Type=notify-reload
// distinguishes it from an earlier one.
func (n notifier) reloading() {
	state := systemd.SdNotifyReloading
	if t := monotonic(); t > 0 {
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", t.Microseconds())
	}
	n.send(state)
}

// watchdog notifies the manager at the required interval that the daemon is alive, but only
// after a request to the daemon's own port has succeeded.
func (d *daemon) watchdog(ctx context.Context) error {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
	}
	beat := time.NewTicker(interval / 3)
	defer beat.Stop()
	for { // start at once: the manager's timeout continues across handovers
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

// check requests GET /health over TCP.
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
