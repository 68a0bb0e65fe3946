// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"daxfs/tests/containerd/chain"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	digest "github.com/opencontainers/go-digest"
)

// builder is daxfs-build with a pool of its own. It makes the images of a chain's layers from an OCI layout; they have
// to be, by their digests, those the daemon has made of the same layers.
type builder struct {
	program, pool string
	daemon        string // its socket
}

// layout writes what `daxfs-build oci:` reads.
type layout struct{ dir string }

func (l layout) blob(kind string, data []byte) (ocispec.Descriptor, error) {
	made := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return made, os.WriteFile(filepath.Join(l.dir, "blobs/sha256", made.Digest.Encoded()), data, 0o600)
}

func (l layout) document(kind string, of any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(of)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.blob(kind, data)
}

func (l layout) write(layers []*chain.Stored) error {
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs/sha256"), 0o700); err != nil {
		return err
	}
	image := ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}, RootFS: ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}}
	for _, layer := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, layer.DiffID)
		stored, err := l.blob(layer.Descriptor.MediaType, layer.Blob)
		if err != nil {
			return err
		}
		manifest.Layers = append(manifest.Layers, stored)
	}
	var err error
	if manifest.Config, err = l.document(ocispec.MediaTypeImageConfig, image); err != nil {
		return err
	}
	top, err := l.document(ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return err
	}
	index, err := json.Marshal(ocispec.Index{Versioned: manifest.Versioned, Manifests: []ocispec.Descriptor{top}})
	if err != nil {
		return err
	}
	version := []byte(`{"imageLayoutVersion":"1.0.0"}`)
	return errors.Join(os.WriteFile(filepath.Join(l.dir, "index.json"), index, 0o600),
		os.WriteFile(filepath.Join(l.dir, "oci-layout"), version, 0o600))
}

// roots are the images the daemon has for the snapshots of those names.
func (b *builder) roots(names []string) ([]string, error) {
	out, err := exec.Command(*collect, "snapshot", "ls", "--address", b.daemon, "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("daxfsctl snapshot ls: %w", err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		var snapshot struct{ Name, Digest string }
		if err := json.Unmarshal([]byte(line), &snapshot); err != nil {
			return nil, err
		}
		found[snapshot.Name] = snapshot.Digest
	}
	var roots []string
	for _, name := range names {
		roots = append(roots, found[name])
	}
	return roots, nil
}

// built are the images daxfs-build makes, so many layers at once; or none, and what it says.
func (b *builder) built(dir string, jobs int) ([]string, string, error) {
	command := exec.Command(b.program, "oci:"+dir, "--pool", b.pool, "--json", "-j", fmt.Sprint(jobs),
		"--platform", "linux/amd64")
	out, failed := command.Output()
	var report struct {
		Error  string
		Images []struct{ Root string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, "", fmt.Errorf("daxfs-build: %w: %s", errors.Join(failed, err), out)
	}
	if failed != nil && report.Error == "" {
		return nil, "", fmt.Errorf("daxfs-build: %w", failed)
	}
	if failed != nil {
		return nil, report.Error, nil
	}
	var roots []string
	for _, image := range report.Images {
		roots = append(roots, image.Root)
	}
	return roots, "", nil
}

// differences of what the daemon has unpacked, all of it or up to a layer that cannot be unpacked, to what daxfs-build
// makes.
func (b *builder) differences(dir string, layers []*chain.Stored, daemons *Unpacked, jobs int) ([]string, error) {
	defer os.RemoveAll(dir)
	if err := (layout{dir}).write(layers); err != nil {
		return nil, err
	}
	roots, refused, err := b.built(dir, jobs)
	if err != nil {
		return nil, err
	}
	if (roots == nil) != (daemons.Err != nil) {
		return []string{fmt.Sprintf("daxfs-build makes %d layers, daxfs-snapshotter: %v", len(roots), daemons.Err)}, nil
	}
	if roots == nil {
		of := fmt.Sprintf("layer %d of %d", len(daemons.Names)+1, len(layers))
		if jobs > 1 && !strings.Contains(refused, of) { // of several that are refused the first that was found
			if _, refused, err = b.built(dir, 1); err != nil {
				return nil, err
			}
		}
		if !strings.Contains(refused, of) {
			return []string{fmt.Sprintf("daxfs-build refuses no %s: %s", of, refused)}, nil
		}
		return nil, nil
	}
	wanted, err := b.roots(daemons.Names)
	if err != nil {
		return nil, err
	}
	var lines []string
	for i := range wanted {
		if i >= len(roots) || roots[i] != wanted[i] || wanted[i] == "" {
			lines = append(lines, fmt.Sprintf("layer %d: daxfs-build makes %v, not %q", i, roots, wanted[i]))
		}
	}
	return lines, nil
}
