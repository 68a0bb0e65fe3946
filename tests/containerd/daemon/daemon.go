// SPDX-License-Identifier: Apache-2.0

// Package daemon runs daxfs-snapshotter and talks to it over its socket, as containerd does.
package daemon

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/diff"
	diffproxy "github.com/containerd/containerd/v2/core/diff/proxy"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/proxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Options are what a daemon is started with.
type Options struct {
	Program        string
	Pool           string // none: layers are directories
	Backend        string
	FuseProgram    string
	Content        string // folder of a content store
	OverlayOptions string // with commas between
}

// Register makes flags of the options whose meaning is the same for everybody.
func (o *Options) Register(flags *flag.FlagSet) {
	flags.StringVar(&o.Program, "daemon", "", "the program daxfs-snapshotter")
	flags.StringVar(&o.Pool, "pool", "", "the pool images are in: a name or a path")
	flags.StringVar(&o.Backend, "backend", "auto", "who mounts images")
	flags.StringVar(&o.FuseProgram, "fuse-program", "/usr/bin/daxfs-fuse", "the program daxfs-fuse")
	flags.StringVar(&o.OverlayOptions, "overlay-options", "", "options for every OverlayFS mount, with commas between")
}

// Daemon is one that runs.
type Daemon struct {
	Snapshotter snapshots.Snapshotter
	Differ      diff.Applier
	Socket      string
	dir         string
	command     *exec.Cmd
	client      *grpc.ClientConn
}

func (o Options) configure(dir, root, socket string) (string, error) {
	text := fmt.Sprintf("root: %s\naddress: %s\n", root, socket)
	if o.Pool != "" {
		text += fmt.Sprintf("pool: %s\nbackend: %s\nfuse_program: %s\n", o.Pool, o.Backend, o.FuseProgram)
	}
	if o.Content != "" {
		text += fmt.Sprintf("content: %s\n", o.Content)
	}
	if o.OverlayOptions != "" {
		text += "overlay_options:\n"
		for option := range strings.SplitSeq(o.OverlayOptions, ",") {
			text += fmt.Sprintf("- %s\n", option)
		}
	}
	path := filepath.Join(dir, "snapshotter.yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// Connect waits for a server at the socket; who asks too early asks again.
func Connect(socket string) (*grpc.ClientConn, error) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Start runs a daemon whose state is in root.
func (o Options) Start(root string) (*Daemon, error) {
	if o.Program == "" {
		return nil, fmt.Errorf("-daemon names no program")
	}
	dir, err := os.MkdirTemp("", "daemon-")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "socket")
	config, err := o.configure(dir, root, socket)
	if err != nil {
		return nil, err
	}
	command := exec.Command(o.Program, "--config", config)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	d := &Daemon{Socket: socket, dir: dir, command: command}
	if d.client, err = Connect(socket); err != nil {
		_ = d.Stop()
		return nil, err
	}
	d.Snapshotter = proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(d.client), "daxfs")
	d.Differ = diffproxy.NewDiffApplier(diffapi.NewDiffClient(d.client)).(diff.Applier)
	return d, nil
}

// Abandon ends it however it stands, where a test has failed. Harmless when repeated.
func (d *Daemon) Abandon() {
	_ = d.command.Process.Kill()
	_ = d.command.Wait()
	_ = os.RemoveAll(d.dir)
}

// Pid is that of its process.
func (d *Daemon) Pid() int { return d.command.Process.Pid }

// Stop fails unless it ends in order.
func (d *Daemon) Stop() error {
	defer os.RemoveAll(d.dir)
	if d.client != nil {
		_ = d.client.Close()
	}
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return d.command.Wait()
}
