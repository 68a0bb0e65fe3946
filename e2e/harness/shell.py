# SPDX-License-Identifier: Apache-2.0
"""A guest to play with: `python3 -m e2e.harness.shell [--size MIB] [--two] [--image FILE]
[--no-module]`.

Each line of standard input is a shell command, run in every machine; the kernel's complaints follow
at the end. $PHYS and $SIZE are the shared memory; `--image` is put at its start.
"""

import argparse
import sys
import tempfile

from e2e.harness import guest_image, kernel, kernel_log, module
from e2e.harness.cache import Cache
from e2e.harness.vm import CommandFailed, SharedMemory, Vm


def converse(machines):
    """Runs the lines of standard input in all machines."""
    if sys.stdin.isatty():
        print("one shell command a line, end of file to stop", file=sys.stderr)
    for line in sys.stdin:
        for vm in machines:
            phys, size_bytes = vm.nvdimm
            try:
                done = vm.run(line,
                              check=False,
                              timeout=600,
                              env={"PHYS": hex(phys), "SIZE": str(size_bytes)})
            except CommandFailed as error:
                print(error)
                continue
            mark = f"[{vm.name}] " if len(machines) > 1 else ""
            print(f"{mark}{done.stdout}{done.stderr}{mark}rc={done.rc}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="e2e.harness.shell", description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="shared memory in MiB")
    parser.add_argument("--two", action="store_true", help="two machines on one memory")
    parser.add_argument("--image", help="file to place at the start of the shared memory")
    parser.add_argument("--no-module", action="store_true", help="do not build and load daxfs.ko")
    parser.add_argument("--suite", default=kernel.DEFAULT_SUITE, help="release whose kernel boots")
    options = parser.parse_args()
    cache = Cache()
    used, root_image = kernel.prepare(cache, options.suite), guest_image.prepare(cache)
    memory = SharedMemory(options.size << 20)
    machines = [
        Vm(used, root_image, memory, name)
        for name in (("vm-a", "vm-b") if options.two else ("vm", ))
    ]
    try:
        if options.image:
            with open(options.image, "rb") as image:
                memory.write(0, image.read())
        for vm in machines:
            vm.start()
        with tempfile.TemporaryDirectory() as work:
            built = None if options.no_module else module.build_daxfs(used, work)
            print("\n".join(built.warnings) if built else "", end="", file=sys.stderr)
            for vm in machines:
                vm.wait_ready()
                if built:
                    module.load(vm, built)
        converse(machines)
        for vm in machines:
            for line in kernel_log.complaints(vm.kernel_log()):
                print(f"{vm.name}: {line}")
    finally:
        for vm in machines:
            vm.close()
        memory.close()


if __name__ == "__main__":
    main()
