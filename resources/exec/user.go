package exec

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// become has a process run as the user with this name or number, and fills in its environment.
func become(name string, attr *syscall.SysProcAttr, env map[string]string) error {
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("there is no user %s on this host", name)
		}
	}
	if err != nil {
		return fmt.Errorf("look up user %s: %w", name, err)
	}
	env["HOME"], env["USER"], env["LOGNAME"] = u.HomeDir, u.Username, u.Username
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root can run it as %s", name)
	}
	attr.Credential, err = credential(u)
	return err
}

func credential(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("list the groups of %s: %w", u.Username, err)
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the account %s has a number that is none: %w", u.Username, err)
		}
		ids = append(ids, uint32(id))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}
