package daemon

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// logLimit is how long the log's file may be when the daemon starts. launchd opens
// that file itself and never shortens it; the journal, and a daemon started by
// `hostless proxy start`, have limits of their own.
const logLimit = 16 << 20

// shortenLog moves what a log's file holds to a file beside it, and empties it, where
// it is longer than limit. It writes in place, since another process holds it open. What
// is no regular file stays as it is.
func shortenLog(path string, limit int64) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() <= limit {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := in.Seek(-limit, io.SeekEnd); err != nil {
		return err
	}
	kept, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(kept, in)
	if err = errors.Join(err, kept.Close()); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}
