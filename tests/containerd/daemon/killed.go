// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
)

// Calls by which something is changed that others see, or somebody is told of it.
var Calls = []string{"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chown", "lchown",
	"fchown", "fchownat", "chmod", "fchmod", "fchmodat", "pwrite64", "fdatasync", "fsync", "ftruncate", "fsopen", "fsconfig", "fsmount", "move_mount", "mount",
	"umount2",
	"clone", "clone3", "vfork", "execve", "sendmsg", "write", "writev", "flock"}

// strace that meets threads which come and go may wait for ever, when it begins and when it is to end.
const (
	attachPatience = 5 * time.Second
	attachTries    = 5
	endPatience    = time.Second
)

// KillAt has strace kill the daemon, or what it has started, before the n-th such call of one of its threads. The
// returned function ends that.
func (d *Daemon) KillAt(call string, n int) (stop func(), err error) {
	for range attachTries {
		if stop, err = d.trace("-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n)); err != nil {
			return nil, err
		}
		for deadline := time.Now().Add(attachPatience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			if d.isTraced() {
				return stop, nil
			}
		}
		stop()
	}
	return nil, errors.New("strace does not attach")
}

func (d *Daemon) trace(what ...string) (stop func(), err error) {
	tracer := exec.Command("strace", append([]string{"-f", "-qq", "-o", os.DevNull, "-p", fmt.Sprint(d.Pid())}, what...)...)
	if err := tracer.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = tracer.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(endPatience, func() { _ = tracer.Process.Kill() })
		_ = tracer.Wait()
		late.Stop()
	}, nil
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

func (d *Daemon) reap() {
	_ = d.client.Close()
	_ = d.command.Wait()
	_ = os.RemoveAll(d.dir)
}

// HasEndedSince says the same where nobody traces it any more: who is being killed no longer says so, but cannot answer.
func (d *Daemon) HasEndedSince(ctx context.Context) bool {
	if d.HasEnded() {
		return true
	}
	_, err := d.Snapshotter.Stat(ctx, "nothing")
	if !errdefs.IsUnavailable(err) {
		return false
	}
	d.reap()
	return true
}

// HasEnded says whether somebody has killed it; then nothing is left of its process. A killed process may take a
// moment to end.
func (d *Daemon) HasEnded() bool {
	for range 100 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid()))
		if err != nil || strings.Contains(string(text), ") Z ") {
			d.reap()
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
