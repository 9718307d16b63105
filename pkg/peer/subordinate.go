package peer

import (
	"bufio"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// subuidFile delegates ranges of user ids to users (subuid(5)).
const subuidFile = "/etc/subuid"

// Subordinate reports whether uid is one of owner's subordinate user ids, which only
// owner's user namespaces can use, as rootless containers do. Ids of login users, or
// delegated to another user as well, do not count. It reads /etc/subuid on each call.
func Subordinate(uid, owner int) bool {
	f, err := os.Open(subuidFile)
	if err != nil {
		return false
	}
	defer f.Close()
	name := ""
	if u, err := user.LookupId(strconv.Itoa(owner)); err == nil {
		name = u.Username
	}
	if !delegated(f, uid, owner, name) {
		return false
	}
	_, err = user.LookupId(strconv.Itoa(uid))
	return err != nil
}

// delegated reports whether ranges, in the format of subuid(5), delegate uid to owner,
// whose login name is name, and to nobody else.
func delegated(ranges io.Reader, uid, owner int, name string) (owned bool) {
	lines := bufio.NewScanner(ranges)
	for lines.Scan() {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 {
			continue
		}
		start, err := strconv.ParseUint(fields[1], 10, 32)
		count, bad := strconv.ParseUint(fields[2], 10, 32)
		if err != nil || bad != nil || start == 0 || uint64(uid) < start || uint64(uid)-start >= count {
			continue
		}
		if fields[0] != strconv.Itoa(owner) && (name == "" || fields[0] != name) {
			return false
		}
		owned = true
	}
	return owned && lines.Err() == nil
}
