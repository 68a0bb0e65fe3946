# SPDX-License-Identifier: Apache-2.0
"""`make demo`: needs root and a built daxfs-build. Exit status 0 if everything it shows holds."""

import signal
import sys
import traceback

from e2e.demo import measure, proof
from e2e.demo.containers import Containers
from e2e.demo.stage import NAMES, DemoFailed, Stage
from e2e.demo.tell import Tell
from e2e.harness import module, programs
from e2e.harness.apt import AptError
from e2e.harness.cache import Cache, report
from e2e.harness.vm import BOOTS, CommandFailed, DirtyLog, VmError

EXPECTED = (DemoFailed, AptError, CommandFailed, DirtyLog, VmError, module.BuildFailed,
            programs.ToolMissing)


def prepare(stage):
    """From packages to two machines with everything mounted."""
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
    tell.step(f"{NAMES[0]} places the image in the pool, {NAMES[1]} finds it there")
    stage.place()
    tell.step("Mounted in both kernels")
    stage.mount()
    for vm in stage.vms:
        vm.containers = Containers(vm, stage.image["config"])
    measure.make_warm(stage)


def perform(stage):
    """Containers in both kernels, and what they cost. Returns the rows of the closing table."""
    tell = stage.tell
    tell.step("Containers in both kernels: runc, OverlayFS over the layers")
    layers = measure.page_cache_growth(stage, *measure.KINDS[0])
    proof.tell_python(stage, layers, "runs from the layers")
    proof.shell_containers(stage)
    proof.make_python(stage, proof.FLAT)
    proof.tell_python(stage, proof.run_python(stage), "runs from the flattened image")
    proof.remove_python(stage)
    tell.step(f"{measure.SERVICES} Python containers at a time in each kernel")
    points = {"daxfs": measure.start_services(stage, *measure.KINDS[0])}
    proof.same_pages(stage)
    measure.stop_services(stage, "daxfs")
    proof.changed_byte(stage)
    tell.step("The control: the same layers on ext4, the same containers")
    points["ext4"] = measure.start_services(stage, *measure.KINDS[1])
    measure.stop_services(stage, "ext4")
    control = measure.page_cache_growth(stage, *measure.KINDS[1])
    proof.tell_python(stage, control, "runs from ext4")
    rows = [*measure.page_cache_rows(stage), *measure.memory_rows(stage, points)]
    first, second = stage.vms
    tell.step(f"{second.name} leaves; {first.name} goes on alone and is timed")
    second.containers.close()
    stage.leave(second)
    second.close()
    tell.shown(f"{second.name} unmounted everything, unloaded daxfs.ko and is off")
    rows += measure.start_times(stage, first)
    rows += measure.file_rows(stage, first)
    first.containers.close()
    stage.leave(first)
    tell.shown(f"{first.name} too; both kernel logs are clean")
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
    stage.tell.table(("", "daxfs", "ext4, the control", "tmpfs"), rows)
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
