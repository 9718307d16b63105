package main

import (
	"fmt"
	"os/exec"
	"runtime"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func openGroup(e *env) *cli.Command {
	return leaf(&cli.Command{Name: "open", Usage: "open an app in the browser", ArgsUsage: "NAME"}, 1, 1, e.open)
}

func (e *env) open(cc *cli.Context) error {
	name, err := appname.Check(cc.Args().First())
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	routes, err := client.Routes(cc.Context)
	if err != nil {
		return err
	}
	url, err := routeURL(routes.Routes, name)
	if err != nil {
		return err
	}
	if opener := e.opener(); opener != "" {
		if err := exec.CommandContext(cc.Context, opener, url).Run(); err == nil {
			return e.printLine("%s", url)
		}
	}
	e.note("hostless: no browser could be started here; the URL is")
	return e.printLine("%s", url)
}

// routeURL returns the URL of an app. The error for an unknown one suggests the nearest name.
func routeURL(routes []control.Route, name string) (string, error) {
	var names []string
	for _, r := range routes {
		if r.AppName == name || r.Hostname == name+".localhost" {
			return r.URL + r.PathPrefix, nil
		}
		names = append(names, r.AppName)
	}
	f := &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no app %q", name), Next: "hostless list"}
	if near := nearest(name, names); near != "" {
		f.Next = "did you mean hostless open " + near + "?"
	}
	return "", f
}

// opener returns the program that opens a URL in a browser, or "".
func (e *env) opener() string {
	names := []string{"xdg-open", "wslview"}
	if runtime.GOOS == "darwin" {
		names = []string{"open"}
	} else if e.getenv("DISPLAY") == "" && e.getenv("WAYLAND_DISPLAY") == "" && e.getenv("BROWSER") == "" {
		names = []string{"wslview"} // xdg-open would fall back to a text browser
	}
	for _, name := range names {
		if path, err := e.lookPath(name); err == nil {
			return path
		}
	}
	return ""
}
