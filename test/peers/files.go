//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

const gib = 1 << 30

// serveFiles responds to GET with a file, and to POST with the number of bytes received.
func serveFiles(addr, path string) error {
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, path) // uses sendfile, so that the proxy's work dominates
			return
		}
		n, err := drain(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, n)
	}))
}

// drain reads to the end with a large buffer; that of io.Discard is small.
func drain(r io.Reader) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		m, err := r.Read(buf)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// transfer moves 1 GiB through a proxy, down or up, and prints the duration.
func transfer(direction, addr, path string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	started := time.Now()
	method, length := http.MethodGet, ""
	if direction == "up" {
		method, length = http.MethodPost, "Content-Length: "+strconv.Itoa(gib)+"\r\n"
	}
	if _, err := fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, filesHost, length); err != nil {
		return err
	}
	if direction == "up" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if n, err := io.Copy(c, file); err != nil { // uses sendfile
			return fmt.Errorf("sent %d bytes: %w", n, err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 256<<10), &http.Request{Method: method})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with %s", resp.Status)
	}
	var count int64
	if direction == "up" {
		_, err = fmt.Fscan(resp.Body, &count)
	} else {
		count, err = drain(resp.Body)
	}
	if err != nil || count != gib {
		return fmt.Errorf("%d of %d bytes went %s: %w", count, gib, direction, err)
	}
	return json.NewEncoder(os.Stdout).Encode(outcome{Count: 1, Took: time.Since(started)})
}

func (b *bench) down(ctx context.Context, p *proxy) (sample, error) {
	return b.transfer(ctx, p, "down")
}

func (b *bench) up(ctx context.Context, p *proxy) (sample, error) {
	return b.transfer(ctx, p, "up")
}

func (b *bench) transfer(ctx context.Context, p *proxy, direction string) (s sample, err error) {
	m := begin(p)
	out, err := b.client(ctx, "transfer", direction, p.addr, b.big())
	if err != nil {
		return s, err
	}
	s = m.end(out, time.Second)
	s.rate *= gib / (1 << 20)
	return s, nil
}
