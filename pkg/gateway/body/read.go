package body

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/klauspost/compress/zstd"
)

// TooLarge returns the error for a body that exceeds its limit, given in bytes.
func TooLarge(limit int64) error {
	return fault.New(fault.TooLarge, fmt.Sprintf("the request body is larger than %d MiB", limit>>20))
}

// Read reads a whole request body into memory, at most limit bytes, under the lease. A
// compressed body is decompressed; the limit then applies to the result. The errors are
// fault.TooLarge, Invalid and Busy.
func Read(r *http.Request, limit int64, lease *Lease) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, TooLarge(limit)
	}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if encoding == "" || encoding == "identity" {
		if r.ContentLength >= 0 {
			return readKnown(r.Context(), r.Body, r.ContentLength, lease)
		}
		return readUnknown(r.Context(), r.Body, limit, lease)
	}
	plain, err := Decompress(encoding, r.Body, limit)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	data, err := readUnknown(r.Context(), plain, limit, lease)
	if f := fault.From(err); f != nil && f.Kind == fault.Invalid {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the request body is not valid " + encoding, Err: f.Err}
	}
	return data, err
}

// Decompress returns a reader that decodes a content coding, using at most about limit
// bytes of memory. The caller must limit the length of the result.
func Decompress(encoding string, body io.Reader, limit int64) (io.ReadCloser, error) {
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
	return nil, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("content encoding %q is not supported: use gzip or zstd", encoding), Param: "content-encoding"}
}

// readKnown reads a body of a declared length.
func readKnown(ctx context.Context, r io.Reader, size int64, lease *Lease) ([]byte, error) {
	if err := lease.Grow(ctx, size); err != nil {
		return nil, err
	}
	b := newBuffer(int(size))
	if lease != nil && lease.buffer == nil {
		lease.buffer = b
	}
	if _, err := io.ReadFull(r, b.data); err != nil {
		return nil, ReadError(err)
	}
	return b.data, nil
}

const (
	firstRead = 16 << 10 // also the initial capacity
	maxRead   = 2 << 20
)

// readUnknown reads a body of unknown length. The buffer grows fourfold. The operating
// system backs only the pages that were written, so the memory in use exceeds the body by
// at most a third. The lease grows with what is read.
func readUnknown(ctx context.Context, r io.Reader, limit int64, lease *Lease) ([]byte, error) {
	data := make([]byte, 0, min(firstRead, limit+1))
	for {
		if len(data) == cap(data) {
			size := 4 * int64(cap(data))
			if 2*size > limit {
				size = limit + 1 // one more byte, to detect a body that exceeds the limit
			}
			grown := make([]byte, len(data), size)
			copy(grown, data)
			data = grown
		}
		room := min(cap(data)-len(data), maxRead)
		if err := lease.Grow(ctx, int64(room)); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(r, data[len(data):len(data)+room])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit, errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
			return nil, TooLarge(limit)
		case err == nil:
		case err == io.EOF, err == io.ErrUnexpectedEOF && endOf(r):
			return data, nil
		default:
			return nil, ReadError(err)
		}
	}
}

// endOf reports whether the end that io.ReadFull met is a regular io.EOF of the reader, and
// not an io.ErrUnexpectedEOF that the reader itself returns.
func endOf(r io.Reader) bool {
	var probe [1]byte
	n, err := r.Read(probe[:])
	return n == 0 && err == io.EOF
}

// ReadError converts an error of reading a body to fault.TooLarge or Invalid. It returns a
// fault unchanged.
func ReadError(err error) error {
	var already *fault.Error
	if errors.As(err, &already) {
		return already
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return TooLarge(large.Limit)
	}
	if IsEnd(err) {
		return &fault.Error{Kind: fault.Invalid, Message: "the request body ended early", Err: err}
	}
	// Malformed chunks, or a broken connection; in the latter case no response arrives.
	return &fault.Error{Kind: fault.Invalid, Message: "the request body cannot be read", Err: err}
}

// IsEnd reports whether err is io.EOF or io.ErrUnexpectedEOF.
func IsEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
