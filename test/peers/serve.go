//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// serve runs the parts that have their own process.
func serve(what string, args []string) error {
	switch what {
	case "driver":
		return drive(args[0])
	case "files":
		return serveFiles(args[0], args[1])
	case "transfer":
		return transfer(args[0], args[1], args[2])
	case "handshakes", "connections":
		each, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		return connections(args[0], each, what == "handshakes")
	case "bare":
		return bare(args[0], args[1], args[2], args[3:])
	}
	return fmt.Errorf("there is no part called %q", what)
}

// bare is a ReverseProxy as a careful user of the standard library would write it.
func bare(addr, backend, files string, pair []string) error {
	target := func(addr string) http.Handler {
		u := &url.URL{Scheme: "http", Host: addr}
		return &httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(u)
				pr.Out.Host = pr.In.Host
				pr.SetXForwarded()
			},
			Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 512},
		}
	}
	mux := http.NewServeMux()
	mux.Handle(host+"/", target(backend))
	mux.Handle(filesHost+"/", target(files))
	if len(pair) == 2 {
		return http.ListenAndServeTLS(addr, pair[0], pair[1], mux)
	}
	return http.ListenAndServe(addr, mux)
}
