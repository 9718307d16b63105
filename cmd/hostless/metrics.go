package main

import (
	"strconv"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func metricsCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "metrics", Usage: "counters and latencies of AI requests, in Prometheus's text format",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "scrape-config", Usage: "print a Prometheus configuration that scrapes metrics-port"}},
		Description: "The counters start at zero when the daemon starts. A scraper reads them on a separate loopback port, with a token:\n\n" +
			"  hostless config set metrics-port 48283\n  hostless metrics --scrape-config",
	}, 0, 0, e.metrics)
}

func (e *env) metrics(cc *cli.Context) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	if cc.Bool("scrape-config") {
		return e.scrapeConfig(cc, client)
	}
	return client.Metrics(cc.Context, e.out)
}

// scrapeConfig prints a job for scrape_configs of Prometheus.
func (e *env) scrapeConfig(cc *cli.Context, client *control.Client) error {
	values, err := client.Config(cc.Context)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(string(values["metrics-port"]))
	if err != nil || port == 0 {
		return &fault.Error{Kind: fault.Unconfigured, Message: "metrics are not served on a port", Next: "hostless config set metrics-port 48283"}
	}
	paths, err := e.paths()
	if err != nil {
		return err
	}
	return e.printLine("- job_name: hostless\n  authorization:\n    credentials_file: %s\n  static_configs:\n    - targets: [\"127.0.0.1:%d\"]", paths.MetricsToken(), port)
}
