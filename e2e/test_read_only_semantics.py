# SPDX-License-Identifier: Apache-2.0
"""What a read-only filesystem owes programs, in the manner of xfstests: on an image, through OverlayFS, and on a tmpfs
with the same tree, mounted read-only, as the control. What is rightly not as on tmpfs stands in the programs' tables,
with its reason."""

import re
import subprocess

import pytest

from e2e.harness import daxfs, module, placement, programs
from e2e.harness.pool_story import wait_until

pytestmark = pytest.mark.every_kernel

EPERM, EROFS = 1, 30
CHECKS = {"rocheck": 4, "opencheck": 7, "readcheck": 11, "seekcheck": 7}  # programs, and how many checks each has
READ_BY_ATIME = ["large", "many", "link", "deep/er/file", "program", "."]  # what rocheck's check of that name reads
PLACES = ["/control", "/image", "/overlay"]
SECOND = 128 << 20  # where in the memory the image lies once more


@pytest.fixture(scope="module")
def story(vm, daxfs_module, tmp_path_factory):
    """The tree read-only on tmpfs at /control, as an image at /image, and that under OverlayFS at /overlay."""
    work = tmp_path_factory.mktemp("semantics")
    for name in (*CHECKS, "nsmount"):
        vm.put(programs.compile_static(name, work), f"/usr/local/bin/{name}")
    tree = work / "tree"
    tree.mkdir()
    subprocess.run([work / "rocheck", "generate", tree], check=True)
    vm.size = programs.build_image(f"dir:{tree}", work / "image", "--huge-min", "2M")
    vm.built = daxfs_module
    for at in (0, SECOND):
        vm.memory.write(at, (work / "image").read_bytes())
    module.load(vm, daxfs_module)
    daxfs.mount(vm, daxfs_module, "/image", vm.nvdimm[0], vm.size)
    vm.run("mkdir -p /control /overlay /empty /scratch /here /there && mount -t tmpfs none /control && "
           "rocheck generate /control && mount -o remount,ro /control && "
           "mount -t overlay -o ro,lowerdir=/image:/empty none /overlay", timeout=180)
    yield vm
    assert vm.alive()


@pytest.fixture
def second(story):
    """The image mounted once more, from other memory, at /second: nothing else uses that range."""
    daxfs.mount(story, story.built, "/second", story.nvdimm[0] + SECOND, story.size)
    yield story
    story.run("while umount -l /second; do :; done 2> /dev/null", check=False)
    wait_until(lambda: ranges(story) == 1, "the second range is held")


def ranges(vm):
    """How many ranges of memory the module holds."""
    return int(vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout)


def run_checks(vm, program, where, *names):
    done = vm.run([program, "run", where, "/scratch", *names], check=False, timeout=300)
    print(f"{program} {where}:\n{done.stdout}{done.stderr}")
    return done


def fails(vm, command, text):
    """Asserts that a command fails and says that."""
    done = vm.run(command, check=False)
    assert done.rc != 0 and re.search(text, done.stderr), f"{command}: {done.rc} {done.stderr}"


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("program", CHECKS)
def test_checks(story, program, where):
    done = run_checks(story, program, where)
    assert done.rc == 0 and "FAIL" not in done.stdout, done.stdout + done.stderr
    assert len(re.findall(r"^ok ", done.stdout, re.M)) == CHECKS[program]


@pytest.mark.parametrize("option", ["strictatime", "relatime", "noatime"])
def test_times_of_access_never_change(story, option):
    """Whatever the mount says. The control is a tmpfs that may be written: there they do."""
    story.run(f"mount --bind /image /here && mount -o remount,bind,rw,{option} /here")
    try:
        assert run_checks(story, "rocheck", "/here", "atime").rc == 0
    finally:
        story.run("umount /here")
    made = f"cd /control && touch -h -d @1600000000.123456789 {' '.join(READ_BY_ATIME)}"
    story.run(f"mount -o remount,rw,{option} /control && {made}")
    try:
        assert (run_checks(story, "rocheck", "/control", "atime").rc == 0) == (option == "noatime")
    finally:
        story.run(f"{made}; mount -o remount,ro,relatime /control")


@pytest.mark.parametrize("where", PLACES)
def test_noexec_and_nosuid(story, where):
    """opencheck says 0 for root, 1 for nobody, else the errno."""
    program, suid = f"{where}/program", f"{where}/program-suid"
    assert story.run(["opencheck", "suid", suid]).stdout == "0\n"
    story.run(f"mount --bind {where} /here && mount -o remount,bind,ro,nosuid /here")
    try:
        assert story.run(["opencheck", "suid", "/here/program-suid"]).stdout == "1\n"
        assert story.run("stat -c %a /here/program-suid").stdout == "4755\n", "what is not honoured is shown"
        story.run("mount -o remount,bind,ro,noexec,nodev /here")
        assert story.run(["opencheck", "suid", "/here/program"]).stdout == "13\n"
        fails(story, "exec 3< /here/null", "Permission denied")
        fails(story, "python3 -c \"import mmap, os; mmap.mmap(os.open('/here/program', 0), 4096, mmap.MAP_PRIVATE, "
                     "mmap.PROT_READ | mmap.PROT_EXEC)\"", "PermissionError")
        assert story.run(["opencheck", "suid", program]).stdout == "1\n", "the mount beside it changed"
    finally:
        story.run("umount /here")


@pytest.mark.parametrize("where", ["/control", "/image"])
def test_remount(story, where):
    story.run(f"mount -o remount,ro {where}")
    if where == "/image":
        fails(story, f"mount -o remount,rw {where}", "write-protected|[Rr]ead-only")
        assert story.run("findmnt -n -o FS-OPTIONS /image").stdout.startswith("ro,")
        here, size = story.nvdimm[0], placement.round_up(story.size)
        for other in (f"phys={here + SECOND:#x}", f"phys={here:#x},size={size + (2 << 20)}", "image=other"):
            assert story.run(f"mount -i -o remount,ro,{other} /image", check=False).rc != 0, other
            assert story.kernel_log().rstrip().endswith("another image is not had by remounting")
        story.run(f"mount -i -o remount,ro,phys={here:#x},size={size} /image")
    story.run(f"mount -o remount,ro,noexec,noatime {where}")
    options = story.run(f"findmnt -n -o VFS-OPTIONS {where}").stdout.strip().split(",")
    assert {"ro", "noexec", "noatime"} <= set(options), options
    assert story.run(["opencheck", "suid", f"{where}/program"]).stdout == "13\n"
    story.run(f"mount -o remount,ro,exec,relatime {where}")
    assert story.run(["opencheck", "suid", f"{where}/program"]).stdout == "1\n"
    fails(story, f"mount -o remount,nonsense=1 {where}", "bad option|nonsense")
    assert run_checks(story, "rocheck", where, "refused").rc == 0


def test_writable_by_its_mount_alone(story):
    """A bind mount that is not read-only changes nothing: the filesystem is."""
    story.run("mount --bind /image /here && mount -o remount,bind,rw /here")
    try:
        assert "rw" in story.run("findmnt -n -o VFS-OPTIONS /here").stdout.split(",")[0]
        assert run_checks(story, "rocheck", "/here", "refused").rc == 0
        fails(story, "mount -o remount,rw /here", "write-protected|[Rr]ead-only")
    finally:
        story.run("umount /here")


def test_bind_mounts_and_namespaces(second):
    vm = second
    vm.run("touch /file && mount --bind /second/size-4097 /file && mount --bind /second/deep /here && "
           "mount --move /here /there && umount /second")
    assert vm.run("cat /there/er/file").stdout == "content\n"
    assert vm.run("cmp /file /control/size-4097").rc == 0 and ranges(vm) == 2
    fails(vm, "touch /there/er/file", "Read-only")
    vm.run("umount /file /there")
    wait_until(lambda: ranges(vm) == 1, "the range is held although nothing is mounted")
    options = f"phys={vm.nvdimm[0] + SECOND:#x},size={vm.size}"
    inside = f"mount -i -t daxfs -o {options} none /second && cmp /second/large /control/large"
    assert vm.run(["unshare", "-m", "sh", "-ec", inside], timeout=120).rc == 0
    assert vm.run("ls /second").stdout == "", "a mount in another namespace is seen here"
    wait_until(lambda: ranges(vm) == 1, "the range is held although its namespace has gone")


@pytest.mark.parametrize("kind", ["daxfs", "tmpfs", "ext4"])
def test_nobody_mounts_it_in_a_namespace_of_his_own(story, kind):
    """As any filesystem that reads a device. tmpfs may be mounted: the namespace is as it should be."""
    options = {"daxfs": f"phys={story.nvdimm[0] + SECOND:#x},size={story.size}"}.get(kind, "")
    story.run("mkdir -p /nobody && chmod 755 /nobody")
    shown = story.run(["nsmount", "try", kind, "/nobody", options]).stdout
    assert int(shown) == (0 if kind == "tmpfs" else EPERM)
    assert ranges(story) == 1


@pytest.mark.parametrize("where", ["/control", "/image"])
def test_idmapped_mount(story, where):
    """Owners are shown shifted and permission follows; the filesystem's own mount is as before."""
    if where == "/control" and story.run("uname -r").stdout.startswith("6.1."):
        pytest.skip("tmpfs has idmapped mounts from Linux 6.3 on")
    story.run(f"nsmount idmap {where} /here 100000")
    try:
        assert story.run(f"stat -c %u:%g /here/owned {where}/owned").stdout == "101000:101001\n1000:1001\n"
        assert story.run("stat -c %u /here/size-1 /here/program").stdout == "100000\n100000\n"
        read = "setpriv --clear-groups --regid {0} --reuid {0} cat {1}/owned"
        assert story.run(read.format(101000, "/here")).stdout == "owned\n"
        assert story.run(read.format(1000, where)).stdout == "owned\n"
        fails(story, read.format(1000, "/here"), "Permission denied")
        fails(story, read.format(101000, where), "Permission denied")
        fails(story, "chown 0 /here/owned", "Read-only")
        story.run("mount -t overlay -o ro,lowerdir=/here:/empty none /there")
        assert story.run("stat -c %u:%g /there/owned").stdout == "101000:101001\n"
        assert story.run(read.format(101000, "/there")).stdout == "owned\n"
        story.run("umount /there")
    finally:
        story.run("umount /here")


@pytest.mark.parametrize("user", ["an open file", "a working directory", "a mapping", "a mount on it"])
def test_not_unmounted_while_it_is_used(second, user):
    vm = second
    commands = {"an open file": "exec 3< /second/large; echo kept; cat",
                "a working directory": "cd /second/deep; echo kept; cat",
                "a mapping": "readcheck keep /second/large",
                "a mount on it": "mount -t tmpfs none /second/empty; echo kept; cat; umount /second/empty"}
    held = vm.popen(commands[user], stdin=b"")
    assert held.wait_output("kept\n", 30)
    fails(vm, "umount /second", "target is busy")
    held.write(b"", end=True)
    assert held.wait(30)
    vm.run("umount /second")
    wait_until(lambda: ranges(vm) == 1, "the range is held")


def test_lazy_unmount(second):
    """An open file and a mapping are read on when the mount has gone; the image goes with them."""
    vm = second
    held = vm.popen(["readcheck", "keep", "/second/large"], stdin=b"")
    assert held.wait_output("kept\n", 30)
    held.write(b"1\n")
    assert held.wait_output("same 1\n", 60), held.stdout
    vm.run("umount -l /second")
    assert vm.run("ls /second").stdout == "" and ranges(vm) == 2
    held.write(b"2\n")
    assert held.wait_output("same 2\n", 60), held.stdout
    daxfs.mount(vm, vm.built, "/second", vm.nvdimm[0] + SECOND, vm.size)  # beside it: the same superblock
    held.write(b"3\n")
    assert held.wait_output("same 3\n", 60), held.stdout
    vm.run("umount /second")
    assert ranges(vm) == 2 and vm.run(["rmmod", "daxfs"], check=False).rc != 0
    held.write(b"", end=True)
    assert held.wait(30) and held.rc == 0
    wait_until(lambda: ranges(vm) == 1, "the range is held although nobody uses it")


@pytest.fixture
def exported(second):
    """/second under a writable OverlayFS that gives file handles; a function that mounts both."""
    vm, lower = second, (second.nvdimm[0] + SECOND, second.size)
    vm.run("rm -rf /var/exported && mkdir -p /var/exported/upper /var/exported/work /exported")

    def mount(lower_too=False):
        if lower_too:
            daxfs.mount(vm, vm.built, "/second", *lower)
        vm.run("mount -t overlay -o lowerdir=/second,upperdir=/var/exported/upper,workdir=/var/exported/work,"
               "index=on,nfs_export=on none /exported")
        options = vm.run("findmnt -n -o FS-OPTIONS /exported").stdout.strip().split(",")
        assert {"index=on", "nfs_export=on"} <= set(options), options

    mount()
    yield vm, mount
    vm.run("umount /exported", check=False)


def test_overlayfs_with_file_handles(exported):
    """A handle of a lower file opens again: after caches are dropped, after the file was copied up, after both
    filesystems were mounted anew. The image itself never changes."""
    vm, mount = exported
    assert "ok handles bytes=" in run_checks(vm, "opencheck", "/exported", "handles").stdout
    kept = {name: vm.run(["opencheck", "take", f"/exported/{name}"]).stdout.strip()
            for name in ("deep/er/file", "owned", "size-1")}

    def opened(name):
        vm.run("echo 2 > /proc/sys/vm/drop_caches")
        return vm.run(["opencheck", "open", "/exported", kept[name]]).stdout

    assert opened("deep/er/file") == "content\n" and opened("owned") == "owned\n"
    vm.run("echo changed > /exported/deep/er/file")
    assert opened("deep/er/file") == "changed\n" and opened("owned") == "owned\n"
    vm.run("umount /exported /second")
    wait_until(lambda: ranges(vm) == 1, "the range is held")
    mount(lower_too=True)
    assert opened("deep/er/file") == "changed\n" and opened("owned") == "owned\n"
    vm.run("rm /exported/size-1")
    gone = vm.run(["opencheck", "open", "/exported", kept["size-1"]], check=False)
    assert gone.rc != 0 and "Stale file handle" in gone.stderr, gone.stderr
    assert vm.run("cat /second/deep/er/file").stdout == "content\n"


def test_copy_up_keeps_the_lower(exported):
    """Of a file with many names all names show the change (index=on); of a large one every byte is copied."""
    vm, _ = exported
    vm.run("echo all > /exported/many/00001")
    assert vm.run("cat /exported/many/00000 /exported/many/09999").stdout == "all\nall\n"
    assert vm.run("stat -c %h:%s /exported/many/00500 /second/many/00500").stdout == "10000:4\n10000:0\n"
    vm.run("echo more >> /exported/large && chown 7 /exported/owned && rm -r /exported/deep && "
           "mv /exported/size-4097 /exported/moved", timeout=120)
    size = int(vm.run("stat -c %s /second/large").stdout)
    assert vm.run(f"cmp -n {size} /exported/large /second/large && tail -c 5 /exported/large").stdout == "more\n"
    assert vm.run("cmp /exported/moved /second/size-4097").rc == 0
    for name in ("large", "size-4097", "deep/er/file", "owned"):
        assert vm.run(f"cmp /second/{name} /control/{name}").rc == 0
    assert vm.run("stat -c %u /second/owned /exported/owned").stdout == "1000\n7\n"
    assert run_checks(vm, "rocheck", "/second", "statx", "refused").rc == 0


def test_everything_is_given_back(story, daxfs_module):
    """Last in this file."""
    story.run("umount /overlay /image")
    wait_until(lambda: ranges(story) == 0, "the range is held")
    module.unload(story, daxfs_module)
    story.assert_clean_log()
