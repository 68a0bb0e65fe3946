# SPDX-License-Identifier: Apache-2.0
"""`make demo`: needs root and a built daxfs-build. Exit status 0 if everything it shows holds."""

import signal
import sys
import traceback

from e2e.demo import measure, proof
from e2e.demo.containers import CONTROL, DAXFS
from e2e.demo.stage import NAMES, DemoFailed, Stage
from e2e.demo.tell import Tell
from e2e.harness import module, programs
from e2e.harness.apt import AptError
from e2e.harness.cache import Cache, report
from e2e.harness.vm import BOOTS, CommandFailed, DirtyLog, VmError

EXPECTED = (DemoFailed, AptError, CommandFailed, DirtyLog, VmError, module.BuildFailed,
            programs.ToolMissing)


def prepare(stage):
    """From packages to two hosts that have the image."""
    tell = stage.tell
    tell.step("A container image in four layers, made from Debian packages")
    stage.make_image()
    tell.step("Two machines, one memory, and a pool in it")
    stage.boot()
    tell.line(f"{' and '.join(NAMES)} are starting, daxfs.ko is being built …")
    for vm in stage.vms:
        for name in ("mapcheck", "membench"):
            programs.compile_static(name, vm.share)
    stage.ready()
    tell.step(f"{NAMES[0]} pulls the image, {NAMES[1]} finds its layers in the pool")
    measure.make_warm(stage)
    stage.place()
    tell.step("Mounted in both kernels")
    stage.look()


def perform(stage):
    """Containers in both kernels, and what they cost. Returns the rows of the closing table."""
    tell = stage.tell
    tell.step("ctr run in both kernels")
    layers = measure.page_cache_growth(stage, DAXFS)
    proof.tell_python(stage, layers, "runs from the pool")
    proof.shell_containers(stage)
    tell.step(f"{measure.SERVICES} Python containers at a time in each kernel")
    points = {DAXFS: measure.start_services(stage, DAXFS)}
    proof.same_pages(stage)
    measure.stop_services(stage, DAXFS)
    proof.changed_byte(stage)
    tell.step("The control: containerd's own overlayfs on ext4, the same image, the same containers")
    stage.pull_control()
    points[CONTROL] = measure.start_services(stage, CONTROL)
    measure.stop_services(stage, CONTROL)
    control = measure.page_cache_growth(stage, CONTROL)
    proof.tell_python(stage, control, "runs from ext4")
    rows = [measure.pull_row(stage), *measure.page_cache_rows(stage), *measure.memory_rows(stage, points)]
    first, second = stage.hosts
    tell.step(f"{second.name} leaves; {first.name} goes on alone and is timed")
    stage.leave(second)
    second.vm.close()
    tell.shown(f"{second.name} removed the image, unmounted everything, unloaded daxfs.ko and is off")
    rows += measure.start_times(stage, first)
    rows += measure.file_rows(stage, first)
    stage.leave(first)
    stage.pool_is_free()
    tell.shown(f"{first.name} too; both kernel logs are clean, and nothing is left in the pool")
    return rows


def demonstrate(stage):
    """The whole demo; whatever happens, nothing of it stays."""
    try:
        prepare(stage)
        rows = perform(stage)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # asked twice, it still cleans up
        stage.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stage.nothing_left()
    stage.tell.step("Measured in this run")
    stage.tell.table(("", "daxfs", "overlayfs on ext4, the control", "tmpfs"), rows)
    stage.tell.line("")
    stage.tell.shown(f"nothing is left: no machine, no mount, no shared memory "
                     f"({stage.tell.seconds:.0f} s)")


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell, cache = Tell(), Cache()
    tell.title("DAXFS: one copy of a container image in memory, containers in two kernels")
    stage = Stage(cache, tell)
    try:
        demonstrate(stage)
        return 0
    except EXPECTED as error:
        tell.failed(str(error))
    except KeyboardInterrupt:
        tell.failed("interrupted")
        return 130
    except Exception:  # a person sees where, and the status says it
        tell.failed(traceback.format_exc())
    finally:
        cache.close()
        retries = {"demo_boot_retries": BOOTS["retries"]}
        report(stage.figures | retries | cache.figures())
    return 1


if __name__ == "__main__":
    sys.exit(main())
