package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/hostless/hostless/pkg/audit"
)

// Audit returns the last n entries of the audit log, oldest first.
func (c *Client) Audit(ctx context.Context, n int) (l AuditList, err error) {
	_, err = c.Do(ctx, http.MethodGet, fmt.Sprintf("/audit?n=%d", n), nil, &l)
	return l, err
}

// FollowAudit calls yield with the last n entries and then each new one, until ctx ends,
// yield returns an error, or the daemon ends.
func (c *Client) FollowAudit(ctx context.Context, n int, yield func(audit.Entry) error) error {
	return followLines(ctx, c, fmt.Sprintf("/audit?n=%d&follow=1", n), yield)
}

// followLines calls yield with each value of a response that has one per line, as it
// arrives.
func followLines[T any](ctx context.Context, c *Client, path string, yield func(T) error) error {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return decodeError(resp, raw)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		var v T
		if json.Unmarshal(lines.Bytes(), &v) != nil {
			continue
		}
		if err := yield(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(err)
	}
	return nil
}
