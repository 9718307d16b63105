//go:build unix

package launch

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// executable asks the kernel, which respects owners and access lists, whether this
// process may execute a file. For root access(2) always succeeds, so one execute bit is
// required too.
func executable(file string, info fs.FileInfo) bool {
	return info.Mode().Perm()&0o111 != 0 && unix.Access(file, unix.X_OK) == nil
}

// execBare replaces this process with the command, without Hostless. It returns only if
// that fails.
func execBare(c Config) (code int, err error) {
	args := shellWrap(c.Args, c.Dir)
	file, code, err := lookPath(args[0], c.Dir, getenv(c.Environ, "PATH"))
	if err != nil {
		return code, err
	}
	err = syscall.Exec(file, args, c.Environ)
	if errors.Is(err, syscall.ENOEXEC) { // a script without "#!": execvp(3)
		err = syscall.Exec("/bin/sh", append([]string{"/bin/sh", file}, args[1:]...), c.Environ)
	}
	return exitNotExecutable, startError(args[0], err)
}
