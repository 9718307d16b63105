package gateway

// dispatchPath sends a request whose model is in its path, Gemini's way.
func (c *exchange) dispatchPath(method string) error {
	way, err := c.wire()
	if err != nil {
		return err
	}
	data, err := readBody(c.r, c.g.cfg.MaxBody)
	if err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	path := "/models/" + pathEscape(c.model)
	if method != "" {
		path += ":" + pathEscape(method)
	}
	header := upHeader(c.r.Header)
	identity(header)
	delete(header, "Content-Encoding")
	delete(header, "Expect")
	return c.send(&outgoing{endpoint: way.endpoint, method: c.r.Method, path: path, query: c.query(), header: header, data: data, size: int64(len(data))})
}
