# SPDX-License-Identifier: Apache-2.0
"""The run's accounts: seconds per budget part and file, the ten slowest, boots tried again, figures for the
JSON line.

A test belongs to the part its `part` mark names, else to `kernels`; fixtures that fill the cache
are `set-up`.
"""

import os
import signal
import time

import pytest

from e2e.harness import budget, vm
from e2e.harness.cache import report

SET_UP_FIXTURES = ("cache", "stock_kernel", "root_image", "demo_image")


class Accounts:
    """Seconds of this run by part, by file and by test, taken down as pytest goes."""

    def __init__(self):
        self.parts = {}
        self.files = {}
        self.tests = {}
        self.set_up = 0.0

    def spend(self, part, seconds):
        """Adds seconds to a part."""
        self.parts[part] = self.parts.get(part, 0.0) + seconds


ACCOUNTS = Accounts()


def pytest_configure(config):
    """Makes the mark known, and SIGTERM orderly."""
    config.addinivalue_line(
        "markers", "part(name): the part of e2e/budget.json whose minutes this test spends")
    config.addinivalue_line("markers", "long: left out of `make test`, run by `make long`")
    config.daxfs_cache = None
    # Told to stop, a run takes its machines down like one interrupted from the keyboard.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Names each test's part where reports can see it; a part without a budget is an error."""
    known = budget.limits()
    for item in items:
        mark = item.get_closest_marker("part")
        part = mark.args[0] if mark else ("unit" if "/harness/" in str(item.path) else "kernels")
        if part not in known:
            raise pytest.UsageError(f"{item.nodeid}: no part '{part}' in e2e/budget.json")
        item.user_properties.append(("part", part))


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef):
    """Takes down what filling the cache costs; it is nobody's test."""
    before = time.monotonic()
    yield
    if fixturedef.argname in SET_UP_FIXTURES:
        spent = time.monotonic() - before
        ACCOUNTS.set_up += spent
        ACCOUNTS.spend("set-up", spent)


def pytest_runtest_logreport(report):
    """Takes down what each phase of each test took; set-up work is not counted twice."""
    part = dict(report.user_properties).get("part")
    if part is None:
        return
    spent = report.duration
    if report.when == "setup":
        spent = max(0.0, spent - ACCOUNTS.set_up)
        ACCOUNTS.set_up = 0.0
    ACCOUNTS.spend(part, spent)
    file = report.nodeid.partition("::")[0]
    ACCOUNTS.files[file] = ACCOUNTS.files.get(file, 0.0) + spent
    ACCOUNTS.tests[report.nodeid] = ACCOUNTS.tests.get(report.nodeid, 0.0) + spent


def pytest_sessionfinish(session):
    """Reports figures; a broken budget or boots that fail too often make the run fail."""
    if session.config.option.collectonly:
        return
    boots, retries = len(vm.BOOTS["seconds"]), vm.BOOTS["retries"]
    figures = {
        f"e2e_{part.replace('-', '_')}_seconds": round(spent, 1)
        for part, spent in sorted(ACCOUNTS.parts.items())
    }
    if boots:
        figures |= {
            "e2e_boots": boots, "e2e_boot_retries": retries,
            "e2e_boot_max_seconds": max(vm.BOOTS["seconds"])
        }
    if session.config.daxfs_cache is not None:
        figures |= session.config.daxfs_cache.figures()
    seconds = budget.earlier_parts(os.environ.get("DAXFS_FIGURES"))
    for part, spent in ACCOUNTS.parts.items():
        seconds[part] = seconds.get(part, 0.0) + spent
    warnings, failure = budget.verdict(seconds, budget.limits())
    if budget.too_many_retries(boots, retries):
        failure = f"boots: {retries} of {boots} had to be tried again"
    session.config.daxfs_closing = [*warnings, *([failure] if failure else [])]
    report(figures)
    if failure and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    """Prints the ten slowest tests, the files, the parts, the boots and what was wrong with them."""
    write = terminalreporter.write_line
    slowest = sorted(ACCOUNTS.tests.items(), key=lambda item: -item[1])[:10]
    if slowest and slowest[0][1] >= 1:
        write("ten slowest:")
        for name, spent in slowest:
            write(f"  {spent:7.1f} s  {name}")
        write("files: " + ", ".join(f"{name} {spent:.0f} s" for name, spent in
                                    sorted(ACCOUNTS.files.items(), key=lambda item: -item[1]) if spent >= 1))
    if vm.BOOTS["seconds"]:
        seconds = vm.BOOTS["seconds"]
        write(f"boots: {len(seconds)}, seconds {seconds}, retries {vm.BOOTS['retries']}")
    for part, spent in sorted(ACCOUNTS.parts.items()):
        write(f"part {part}: {spent:.1f} s")
    for line in getattr(config, "daxfs_closing", []):
        write(line)
