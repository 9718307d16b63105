package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/klauspost/compress/zstd"
)

// tooLarge is the error of a body past its limit.
func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, fmt.Sprintf("the request body is larger than %d MiB", limit>>20))
}

// readBody takes a whole request body into memory, at most limit bytes of it,
// decoded where it came compressed (the limit then holds for what it unfolds to).
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if encoding == "" || encoding == "identity" {
		return readAll(r.Body, r.ContentLength, limit)
	}
	plain, err := decoder(encoding, r.Body, limit)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	data, err := readAll(plain, -1, limit)
	if f := fault.From(err); f != nil && f.Kind == fault.Invalid {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the request body is not the " + encoding + " it says it is", Err: f.Err}
	}
	return data, err
}

// decoder unfolds a content coding.
func decoder(encoding string, body io.Reader, limit int64) (io.ReadCloser, error) {
	switch encoding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "the body is not gzip", Err: err}
		}
		return z, nil
	case "zstd":
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "the body is not zstd", Err: err}
		}
		return z.IOReadCloser(), nil
	}
	return nil, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("content encoding %q is not supported; gzip and zstd are", encoding), Param: "content-encoding"}
}

// readAll reads to the end, at most limit bytes. size is what was told, or -1.
func readAll(r io.Reader, size, limit int64) ([]byte, error) {
	if size >= 0 {
		data := make([]byte, size) // at most limit, and of a caller that was let in
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, bodyFault(err)
		}
		return data, nil
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, limit+1))
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) || n > limit {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return nil, bodyFault(err)
	}
	return buf.Bytes(), nil
}

func bodyFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &fault.Error{Kind: fault.Invalid, Message: "the request body ended early", Err: err}
	}
	// Chunks that are none, or a connection that broke, which nobody hears of.
	return &fault.Error{Kind: fault.Invalid, Message: "the request body cannot be read", Err: err}
}
