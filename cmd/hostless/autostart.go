package main

import (
	"context"
)

// autostart starts the daemon for a run where none is running and there is no
// service manager that could start it. Other errors are left for the run to report.
func (e *env) autostart(ctx context.Context) {
	if e.getenv("HOSTLESS") == "0" {
		return
	}
	if _, err := e.manager(ctx, "", 0); !noManager(err) {
		return
	}
	client, err := e.client()
	if err != nil {
		return
	}
	defer client.CloseIdle()
	limited, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	if _, err := client.Status(limited); !notRunning(err) {
		return
	}
	child, err := e.spawn(daemonOptions{port: -1})
	if err != nil {
		return
	}
	status, err := child.healthy(ctx, client)
	if err != nil {
		e.note("hostless: the daemon does not start: %v", err)
		return
	}
	if status.PID != child.pid { // another client started it first
		child.withdraw()
		return
	}
	e.note("hostless: started the daemon (pid %d): hostless stop ends it", status.PID)
}
