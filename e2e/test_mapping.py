# SPDX-License-Identifier: Apache-2.0
"""A program maps files of an image: huge and small pages, copies, pins, debuggers, exec. tmpfs is the control."""

import json
import re
import shutil
import subprocess

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel

CHUNK = 2 << 20
MIB = 1 << 20
# mapcheck's files, and programs that really start: static, dynamic, and one of some size.
GUEST_PROGRAMS = ["/usr/bin/busybox", "/bin/bash", "/usr/bin/python3.11"]


@pytest.fixture(scope="module")
def story(vm, daxfs_module, tmp_path_factory):
    """The guest with mapcheck's tree on tmpfs at /control, as an image at /image, and under OverlayFS at /overlay."""
    work = tmp_path_factory.mktemp("mapping")
    mapcheck = programs.compile_static("mapcheck", work)
    tree = work / "tree"
    tree.mkdir()
    subprocess.run([mapcheck, "generate", tree], check=True)
    vm.put(mapcheck, "/usr/local/bin/mapcheck")
    for path in GUEST_PROGRAMS:
        vm.get(path, tree / path.rsplit("/", 1)[1])
        (tree / path.rsplit("/", 1)[1]).chmod(0o755)
    programs.compile_static("largeprog", tree)
    size = programs.build_image(f"dir:{tree}", work / "tree.daxfs")
    vm.memory.write(0, (work / "tree.daxfs").read_bytes())
    shutil.copytree(tree, vm.share / "tree", copy_function=copy_sparse)
    vm.run("mkdir -p /control /scratch /upper && mount -t tmpfs none /control && "
           "cp --sparse=always -a /mnt/share/tree/. /control")
    module.load(vm, daxfs_module)
    vm.references = region_references(vm)
    mount(vm, daxfs_module, size)
    yield vm, size
    assert vm.alive()


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", "-p", source, target], check=True)


def mount(vm, built, size):
    daxfs.mount(vm, built, "/image", vm.nvdimm[0], size)
    vm.run("mkdir -p /overlay /upper && mount -t tmpfs none /upper && mkdir /upper/up /upper/work && "
           "mount -t overlay -o lowerdir=/image,upperdir=/upper/up,workdir=/upper/work none /overlay")


def unmount(vm):
    vm.run("umount /overlay /upper /image")


def region_references(vm):
    """Lines of /proc/iomem that are ours: none before a mount and after the last one."""
    return vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip()


@pytest.mark.parametrize("where", ["/control", "/image", "/overlay"])
def test_every_kind_of_mapping(story, where):
    vm, _ = story
    shown = programs.check_mappings(vm, where)
    print(f"{where}:\n{shown}")
    faults = int(re.search(r"^ok huge-faults .*faults=(\d+)", shown, re.M).group(1))
    small = int(re.search(r"^ok small-faults .*faults=(\d+)", shown, re.M).group(1))
    if where != "/control":
        assert faults == 5, f"{faults} faults for 5 chunks: not mapped by huge pages"
        assert small <= 769 // 16, f"{small} faults for 769 pages: no fault-around"


def counters(vm):
    """What the module counts of the range, and what daxfsctl shows of it."""
    shown = json.loads(vm.run("daxfsctl kernel status --json").stdout)
    found = shown["ranges"][0]
    assert len(shown["ranges"]) == 1 and found.pop("phys") == vm.nvdimm[0]
    folder = f"/sys/fs/daxfs/{vm.nvdimm[0]:#x}"
    assert sorted(found) == vm.run(["ls", folder]).stdout.split()
    return found


def test_counters_and_events(story):
    vm, _ = story
    programs.install_tool(vm, "daxfsctl")
    size = int(vm.run("stat -c %s /image/small").stdout)
    events = "/sys/kernel/tracing/events/daxfs/enable"
    before = counters(vm)
    vm.run(f"echo 1 > {events} && mapcheck pfn /image/small 0 && dd if=/image/small of=/dev/null bs=1M && "
           f"echo 0 > {events}")
    after = counters(vm)
    changed = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert changed == {"reads": size // MIB + 2, "read_bytes": size, "window_faults": 1, "window_pages": 1}
    trace = vm.read_text("/sys/kernel/tracing/trace")
    assert re.search(r"daxfs_fault: dev \d+:\d+ ino \d+ address 0x[0-9a-f]+ pgoff 0x0 order 0 result NOPAGE\n", trace)
    assert "it holds no memory" not in vm.run("daxfsctl kernel status").stdout


def huge_faults(vm):
    return int(vm.read_text(f"/sys/fs/daxfs/{vm.nvdimm[0]:#x}/huge_faults"))


@pytest.mark.parametrize("where", ["/image", "/overlay"])
def test_programs_start_from_it(story, where):
    vm, _ = story
    assert vm.run([f"{where}/busybox", "echo", "static"]).stdout == "static\n"
    # Its text has whole chunks, and ends that are none.
    before = huge_faults(vm)
    vm.run([f"{where}/largeprog"])
    assert huge_faults(vm) - before == 15
    assert vm.run([f"{where}/bash", "-c", "echo dynamic $((6 * 7))"]).stdout == "dynamic 42\n"
    text = "import hashlib, json; print(json.dumps(hashlib.sha256(b'x').hexdigest()))"
    assert len(vm.run([f"{where}/python3.11", "-c", text]).stdout.strip()) == 66
    shown = vm.run([f"{where}/python3.11", "-c", "print(open('/proc/self/maps').read())"]).stdout
    assert f"{where}/python3.11" in shown


@pytest.mark.parametrize("where", ["/control", "/image", "/overlay"])
def test_core_dump(story, where):
    vm, _ = story
    vm.run("echo /tmp/core > /proc/sys/kernel/core_pattern; rm -f /tmp/core*")
    done = vm.run(f"ulimit -c unlimited; echo 0x7f > /proc/self/coredump_filter; mapcheck dump {where}/small",
                  check=False)
    assert done.rc in (-6, 128 + 6), done.stderr
    find = (f"bytes = open('{where}/small', 'rb').read(64 * 4096)\n"
            "import glob\nprint(open(glob.glob('/tmp/core*')[0], 'rb').read().count(bytes))")
    assert vm.run(["python3", "-c", find]).stdout == "1\n", "its pages are not in the dump"


@pytest.mark.parametrize("where", ["/control", "/image", "/overlay"])
def test_uprobe(story, where):
    """A breakpoint of the kernel's in a program's entry: its page alone is copied, in that process."""
    vm, _ = story
    elf = "import struct, sys\n" \
          "head = open(sys.argv[1], 'rb').read(4096)\n" \
          "entry, table = struct.unpack_from('<QQ', head, 24)\n" \
          "count = struct.unpack_from('<H', head, 56)[0]\n" \
          "parts = [struct.unpack_from('<IIQQQQ', head, table + 56 * i) for i in range(count)]\n" \
          "print(*(entry - p[3] + p[2] for p in parts if p[0] == 1 and p[3] <= entry < p[3] + p[5]))"
    offset = int(vm.run(["python3", "-c", elf, f"{where}/bash"]).stdout)
    tracing = "/sys/kernel/tracing"
    vm.run(f"echo 'p:daxfs_test {where}/bash:{offset:#x}' > {tracing}/uprobe_events && "
           f"echo 1 > {tracing}/events/uprobes/daxfs_test/enable")
    try:
        for _ in range(3):
            assert vm.run([f"{where}/bash", "-c", "echo $((6 * 7))"]).stdout == "42\n"
        hits = vm.run(f"grep -c ' daxfs_test: ' {tracing}/trace", check=False).stdout
    finally:
        vm.run(f"echo 0 > {tracing}/events/uprobes/daxfs_test/enable; echo > {tracing}/uprobe_events; "
               f"echo > {tracing}/trace")
    assert int(hits) == 3
    assert vm.run(["cmp", f"{where}/bash", "/control/bash"]).rc == 0


@pytest.mark.parametrize("where", ["/control", "/image", "/overlay"])
def test_breakpoint_by_a_debugger(story, where):
    """gdb does not map the file: a copy made from the wrong address space would spoil the shared text page."""
    vm, _ = story
    before = vm.run(["sha256sum", f"{where}/python3.11"]).stdout
    steps = ["set breakpoint pending off", "set startup-with-shell off", "break Py_BytesMain",
             "run -c print(6*7)", "backtrace 1", "continue"]
    argv = ["gdb", "-nx", "-batch", *(part for step in steps for part in ("-ex", step)), f"{where}/python3.11"]
    done = vm.run(argv, timeout=180, check=False)
    assert "Breakpoint 1, " in done.stdout and "42\n" in done.stdout, done.stdout + done.stderr
    assert vm.run(["sha256sum", f"{where}/python3.11"]).stdout == before


def test_a_pin_outlives_the_mount(story, daxfs_module):
    vm, size = story
    held = vm.popen(["mapcheck", "hold", "/image/small"], stdin=b"")
    assert held.wait_output("held\n", 30)
    unmount(vm)
    assert region_references(vm) == "1", "the range is given back although a pipe holds a page of it"
    assert vm.run(["rmmod", "daxfs"], check=False).rc != 0, "the module went away under a page"
    mount(vm, daxfs_module, size)  # the parked range is taken back
    assert vm.run(["cmp", "/image/small", "/control/small"]).rc == 0
    unmount(vm)
    held.write(b"go\n")
    assert held.wait(30) and "intact" in held.stdout, held.stdout + held.stderr


def test_everything_is_given_back(story, daxfs_module):
    """Last in this file: no mount, no pin, no module; the range is free again."""
    vm, size = story
    vm.run("for i in $(seq 100); do grep -q ': daxfs' /proc/iomem || exit 0; sleep 0.1; done; exit 1")
    module.unload(vm, daxfs_module)
    assert region_references(vm) == vm.references == "0"
    vm.assert_clean_log()
    module.load(vm, daxfs_module)
    phys = vm.nvdimm[0]
    once = f"mount -t daxfs -o phys={phys},size={size} none /image && cat /image/small > /dev/null && umount /image"
    vm.run(f"for i in $(seq 50); do {once} || exit 1; done", timeout=120)
    module.unload(vm, daxfs_module)
    assert region_references(vm) == "0"
