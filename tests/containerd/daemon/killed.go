// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Calls by which something is changed that others see, or somebody is told of it.
var Calls = []string{"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chown", "lchown",
	"fchown", "fchownat", "chmod", "fchmod", "fchmodat", "pwrite64", "fdatasync", "fsync", "ftruncate", "fsopen", "fsconfig", "fsmount", "move_mount", "mount",
	"umount2",
	"clone", "clone3", "vfork", "execve", "sendmsg", "write", "writev", "flock"}

// KillAt has strace kill the daemon, or what it has started, before the n-th such call of one of its threads. The
// returned function ends that.
func (d *Daemon) KillAt(call string, n int) (func(), error) {
	tracer := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-p", fmt.Sprint(d.Pid()), "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n))
	if err := tracer.Start(); err != nil {
		return nil, err
	}
	// strace told to end while those it traces come and go may wait for ever: then it is killed, which lets go of them too.
	stop := func() {
		_ = tracer.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(time.Second, func() { _ = tracer.Process.Kill() })
		_ = tracer.Wait()
		late.Stop()
	}
	for deadline := time.Now().Add(30 * time.Second); !d.isTraced(); {
		if time.Now().After(deadline) {
			stop()
			return nil, errors.New("strace does not attach")
		}
		time.Sleep(2 * time.Millisecond)
	}
	return stop, nil
}

func (d *Daemon) isTraced() bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.Pid()))
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(tasks) > 0
}

// HasEnded says whether somebody has killed it; then nothing is left of its process. A killed process may take a
// moment to end.
func (d *Daemon) HasEnded() bool {
	for range 100 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid()))
		if err != nil || strings.Contains(string(text), ") Z ") {
			_ = d.client.Close()
			_ = d.command.Wait()
			_ = os.RemoveAll(d.dir)
			return true
		}
		pending, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
		if err == nil && !strings.Contains(string(pending), "SigPnd:\t0000000000000100") &&
			!strings.Contains(string(pending), "ShdPnd:\t0000000000000100") {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
