# SPDX-License-Identifier: Apache-2.0
"""Containers run in both kernels, and from the same bytes of memory."""

import json
import shutil

from e2e.demo.containers import DAXFS
from e2e.demo.stage import demand
from e2e.demo.tell import size
from e2e.harness.module import REPOSITORY
from e2e.oci import content

PAGE = 4096
# Deletes, changes and adds; `ls` shows a name gone, and the merged tree what is new.
SHELL = """set -e
echo 'echo changed in a container' >> /etc/profile
rm /usr/bin/busybox; rm -r /usr/share/python3
mkdir -p /srv/new
echo "$HOSTNAME was here" > /srv/new/note
test ! -e /usr/bin/busybox && test ! -e /usr/share/python3
tail -1 /etc/profile; cat /srv/new/note
"""


def run_python(stage, kind=DAXFS):
    """In each kernel a container of the image's own command: it reads every file, and must find what was packed. What
    the containers say."""
    wanted = content.report_of(stage.expected["merged"])
    reports = stage.both(lambda host: json.loads(host.containers.run(f"python-{host.name}", kind)))
    for report in reports:
        found = {key: report[key] for key in wanted}
        demand(found == wanted, f"{report['host']} found {found}, the image has {wanted}")
    return reports


def tell_python(stage, reports, how):
    """One line on what the containers have found."""
    first = reports[0]
    stage.tell.shown(f"Python {first['python']} {how} in {' and '.join(r['host'] for r in reports)}: "
                     f"{first['files']} files, {size(first['read_bytes'])}, sha256 "
                     f"{first['sha256'][:12]}… as packed")


def shell_containers(stage):
    """A shell writes, changes and deletes; only its own upper has it, the image is as it was."""
    watched = ["etc/profile", "usr/bin/busybox", "usr/share/python3"]

    def run(host):
        name, containers = f"shell-{host.name}", host.containers
        folders = containers.layers(DAXFS)
        before = image_state(host.vm, folders, watched)
        command = containers.run_command(name, DAXFS, ["/bin/bash", "-c", SHELL], options=())
        said = host.vm.run(command, timeout=300).stdout.splitlines()
        names = containers.upper(name)
        demand(image_state(host.vm, folders, watched) == before, f"{host.name}: the image changed")
        demand(said == ["echo changed in a container", f"{name} was here"], f"{name} said {said}")
        demand(names == ["etc/profile", "srv/new/note", "usr/bin/busybox", "usr/share/python3"],
               f"{host.name}: the upper has {names}")
        containers.remove([name])
        return names

    names = stage.both(run)[0]
    stage.tell.shown(f"bash changed, added and deleted in both; its upper has {len(names)} entries "
                     f"({', '.join(names)}), the layers are untouched")


def image_state(vm, folders, paths):
    """Checksums of what the mounted layers have at `paths`, by name."""
    places = " ".join(f"{folder}/{path}" for folder in folders for path in paths)
    return vm.run(f"for place in {places}; do test ! -e $place || find $place -type f; done | xargs sha256sum").stdout


def frames_in_containers(stage, pids, suffix):
    """For each kernel {offset: frame} of the pages of a file that every container has mapped, frames
    counted from the start of the shared memory; DemoFailed unless all have the same."""
    kernels = []
    for vm, own in zip(stage.vms, pids):
        shutil.copy(REPOSITORY / "e2e/demo/frames.py", vm.share / "frames.py")
        shown = vm.run(["python3", "/mnt/share/frames.py", suffix, *own]).stdout
        base = vm.nvdimm[0] // PAGE
        kernels.append([{int(offset): frame - base for offset, frame in frames.items()}
                        for frames in json.loads(shown).values()])
    processes = [frames for kernel in kernels for frames in kernel]
    common = set.intersection(*(set(frames) for frames in processes))
    demand(common, f"{suffix}: the containers have no page of it in common")
    for offset in common:
        places = {frames[offset] for frames in processes}
        demand(len(places) == 1, f"{suffix}+{offset}: frames {places} from the memory's base")
    return [{offset: kernel[0][offset] for offset in common} for kernel in kernels]


def same_pages(stage):
    """The pages running containers execute from are the same memory in both kernels."""
    rows, pages, pids = [], 0, stage.both(lambda host: host.containers.pids())
    for suffix, layer in (("/usr/bin/python3.11", 1), ("/libc.so.6", 0)):
        frames = frames_in_containers(stage, pids, suffix)
        image = stage.placed[layer]
        demand(all(image.holds(frame * PAGE) for frame in frames[0].values()),
               f"{suffix}: pages outside the chunks of its layer")
        first = min(frames[0])
        rows.append((suffix.rsplit("/", 1)[1], len(frames[0]), sum(len(own) for own in pids),
                     *(f"{kernel[first]:#x}" for kernel in frames)))
        pages += len(frames[0])
    stage.figures["demo_same_pages"] = pages
    stage.tell.table(("mapped by containers", "pages", "processes",
                      *(f"first frame - base, {vm.name}" for vm in stage.vms)), rows)
    stage.tell.shown(f"all {pages} pages these processes share are the same pages of the shared "
                     "memory in both kernels")


def changed_byte(stage):
    """A byte changed from outside is seen in both kernels at once, by reading and by mapping."""
    path = f"usr/local/share/daxfs-demo/{'n' * 255}"
    roots = [host.containers.root("byte", DAXFS) for host in stage.hosts]

    def seen():
        return [vm.run(["cat", f"{root}/{path}"]).stdout for vm, root in zip(stage.vms, roots)]

    frame, byte = stage.vms[0].run(["/mnt/share/mapcheck", "pfn", f"{roots[0]}/{path}", "0"]
                                   ).stdout.split()
    at = int(frame, 16) * PAGE - stage.vms[0].nvdimm[0]
    before = seen()
    old = stage.memory.read(at, 1)
    demand(old.hex() == byte and before[0] == before[1] == "the longest name\n",
           f"at {at:#x} of the memory is {old!r}, the machines read {before}")
    stage.memory.write(at, b"T")
    try:
        after = seen()
    finally:
        stage.memory.write(at, old)
    demand(after == ["The longest name\n"] * 2, f"changed from outside, the machines read {after}")
    demand(seen() == before, "put back, the machines read something else")
    for host in stage.hosts:
        host.containers.remove_root("byte", DAXFS)
    stage.tell.shown(f"a byte changed from outside at {stage.vms[0].nvdimm[0] + at:#x}: both "
                     "kernels read it at once; put back, both read the old one")
