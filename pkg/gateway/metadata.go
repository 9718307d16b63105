package gateway

import "github.com/hostless/hostless/pkg/fault"

func (c *exchange) serveMetadata() error { return fault.New(fault.NotFound, "no such path") }
