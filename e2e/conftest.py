# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every end-to-end test. Kernel and guest are made once a run, machines once a file."""

import pytest

from e2e.harness import debug_kernel, guest_image, kernel, module, plugin
from e2e.harness.cache import Cache
from e2e.harness.vm import SharedMemory, Vm
from e2e.oci import generate

SHARED_BYTES = 512 << 20
DEBUG = "debug"


def pytest_configure(config):
    """The accounts must see session fixtures too, so they are a plugin of their own and not hooks
    of this folder."""
    config.pluginmanager.register(plugin, "daxfs-accounts")
    config.addinivalue_line("markers", "every_kernel(quick=False, debug=False): runs on each kernel the module is "
                            "for; on others than the default one only where `long` is wanted, unless it is quick; on "
                            "the debug kernel where `debug` is wanted, and with debug=True there alone")
    config.addinivalue_line("markers", "debug: on the kernel that watches itself, run by `make debug`")


def pytest_generate_tests(metafunc):
    """Tests marked by `every_kernel` run with each kernel, one kernel after the other."""
    mark = metafunc.definition.get_closest_marker("every_kernel")
    if mark and "stock_kernel" in metafunc.fixturenames:
        others = () if mark.kwargs.get("quick") else (pytest.mark.long, )
        on_debug = pytest.param(DEBUG, marks=pytest.mark.debug)
        params = [pytest.param(suite, marks=() if suite == kernel.DEFAULT_SUITE else others) for suite in kernel.SUITES]
        metafunc.parametrize("stock_kernel", [on_debug] if mark.kwargs.get("debug") else [*params, on_debug],
                             indirect=True)


def pytest_collection_modifyitems(config, items):
    """The debug kernel takes most of an hour to make: it is for who asks for it."""
    if DEBUG in config.option.markexpr:
        return
    unwanted = [item for item in items if item.get_closest_marker(DEBUG)]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]


@pytest.fixture(scope="session")
def cache(request):
    """The cache; its figures go into the run's closing line."""
    opened = Cache()
    request.config.daxfs_cache = opened
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def stock_kernel(request, cache):
    """The kernel tests run on: Debian's 6.12 for bookworm, unless they are marked by `every_kernel`."""
    suite = getattr(request, "param", kernel.DEFAULT_SUITE)
    return debug_kernel.prepare(cache) if suite == DEBUG else kernel.prepare(cache, suite)


@pytest.fixture(scope="session")
def root_image(cache):
    """The guest's root disk."""
    return guest_image.prepare(cache)


@pytest.fixture(scope="session")
def demo_image(cache):
    """A folder with image/ (an OCI layout of a small Debian with Python) and expected.json."""
    return generate.prepare(cache)


@pytest.fixture(scope="session")
def built_modules():
    """{kernel release: daxfs.ko of this run}."""
    return {}


@pytest.fixture(scope="module")
def daxfs_module(stock_kernel, built_modules, tmp_path_factory):
    """daxfs.ko of this checkout, built now for `stock_kernel`."""
    if stock_kernel.release not in built_modules:
        built_modules[stock_kernel.release] = module.build_daxfs(stock_kernel, tmp_path_factory.mktemp("daxfs"))
    return built_modules[stock_kernel.release]


@pytest.fixture(scope="module")
def counter_module(stock_kernel, tmp_path_factory):
    """The test module that increments a word other kernels increment too."""
    return module.build_test_module("counter", stock_kernel, tmp_path_factory.mktemp("counter"))


@pytest.fixture(scope="module")
def new_memory():
    """A function that gives shared memory of so many bytes; all of it goes away after the file."""
    made = []

    def make(size_bytes=SHARED_BYTES):
        made.append(SharedMemory(size_bytes))
        return made[-1]

    yield make
    for memory in made:
        memory.close()


@pytest.fixture(scope="module")
def shared_memory(new_memory):
    """512 MiB that `vm` and `two_vms` see as their nvdimm."""
    return new_memory()


@pytest.fixture(scope="module")
def start_vms(stock_kernel, root_image, new_memory):
    """A function that boots machines side by side: names, and the same arguments as `Vm` for all of
    them.

    At the end of the file every one still alive must have a clean kernel log.
    """
    running = []

    def start(*names, **arguments):
        kernel_used = arguments.pop("kernel", stock_kernel)
        root_used = arguments.pop("root_image", root_image)
        machines = [Vm(kernel_used, root_used, name=name, **arguments) for name in names]
        running.extend(machines)
        for machine in machines:
            machine.start()
        return [machine.wait_ready() for machine in machines]

    try:
        yield start
        for machine in running:
            if machine.alive():
                machine.assert_clean_log()
    finally:
        for machine in running:
            machine.close()


@pytest.fixture(scope="module")
def vm(start_vms, shared_memory):
    """One machine with the shared memory."""
    return start_vms("vm", memory=shared_memory)[0]


@pytest.fixture(scope="module")
def two_vms(start_vms, shared_memory):
    """Two machines with the same shared memory."""
    return start_vms("vm-a", "vm-b", memory=shared_memory)
