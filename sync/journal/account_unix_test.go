//go:build unix

package journal

import (
	"os/exec"
	"syscall"
)

// runAs makes a command run as another account.
func runAs(cmd *exec.Cmd, uid, gid uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}

func umask(mask int) (old int) { return syscall.Umask(mask) }
