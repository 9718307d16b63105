package daemon

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// logLimit is the largest size of the log file when the daemon starts, in bytes. launchd
// opens that file and never truncates it. The journal, and `hostless proxy start`, have
// their own limits.
const logLimit = 16 << 20

// shortenLog copies the content of a log file that is longer than limit to a second file and
// truncates the first, which another process holds open. It ignores what is not a regular
// file.
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
