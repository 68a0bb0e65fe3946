# SPDX-License-Identifier: Apache-2.0
"""Budget, boots and kernel log: what is let pass and what is not."""

import json
import re

import pytest

from e2e.harness import budget
from e2e.harness.kernel_log import complaints

ALLOWED = {"unit": 60, "kernels": 120, "total": 150}


def test_every_part_and_the_total_have_minutes():
    limits = budget.limits()
    assert limits["total"] == 75 * 60
    assert sum(seconds for part, seconds in limits.items() if part != "total") <= limits["total"]


def test_every_target_of_a_run_has_minutes():
    script = (budget.BUDGET_FILE.parents[1] / "scripts" / "test").read_text(encoding="utf-8")
    made = re.findall(r"^make (\S+)", script, re.MULTILINE)
    assert "unit" in made and set(made) <= set(budget.limits())


@pytest.mark.parametrize("seconds, warned, failed", [
    ({"unit": 60, "kernels": 90}, [], False),
    ({"unit": 61, "kernels": 1}, ["unit"], False),
    ({"unit": 61, "kernels": 121}, ["kernels", "unit"], True),
    ({"build": 151}, [], True),
])
def test_verdict(seconds, warned, failed):
    warnings, failure = budget.verdict(seconds, ALLOWED)
    assert [line.split()[1] for line in warnings] == warned
    assert (failure is not None) == failed


def test_earlier_parts_count(tmp_path):
    figures = tmp_path / "figures"
    lines = [{"unit_seconds": 20, "unit_tests": 9}, {"build_seconds": 100}, {"boot_max_seconds": 9}]
    figures.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert budget.earlier_parts(str(figures)) == {"unit": 20, "build": 100}
    assert budget.earlier_parts(None) == {} == budget.earlier_parts(str(tmp_path / "none"))


@pytest.mark.parametrize("boots, retries, bad", [
    (1, 0, False),
    (3, 1, False),
    (3, 2, True),
    (30, 3, False),
    (30, 4, True),
    (0, 2, True),
])
def test_retries(boots, retries, bad):
    assert budget.too_many_retries(boots, retries) == bad


@pytest.mark.parametrize("line, bad", [
    ("[    1.0] WARNING: CPU: 0 PID: 1 at mm/memory.c:3 f+0x1/0x2", True),
    ("[    1.0] BUG: Bad rss-counter state mm:0 type:MM_FILEPAGES val:512", True),
    ("[    1.0] BUG: unable to handle page fault for address: 0", True),
    ("[    1.0] Oops: Oops: 0000 [#1] PREEMPT SMP", True),
    ("[    1.0] mm/pgtable-generic.c:54: bad pmd 00000000(8000000)", True),
    ("[    1.0] refcount_t: underflow; use-after-free.", True),
    ("[    1.0] WARNING: possible circular locking dependency detected", True),
    ("[    1.0] INFO: task mount:12 blocked for more than 120 seconds.", True),
    ("[    1.0] rcu: INFO: rcu_preempt self-detected stall on CPU", True),
    ("[    1.0] Kernel panic - not syncing: Attempted to kill init!", True),
    ("[    1.0] daxfs: loading out-of-tree module taints kernel.", False),
    ("[    1.0] RAS: Correctable Errors collector initialized.", False),
    ("[    1.0] daxfs: 0x100000000: inode 7 is damaged: extent past the end", False),
    ("[    1.0] DEBUG: something", False),
])
def test_complaints(line, bad):
    assert complaints("before\n" + line + "\nafter") == ([line] if bad else [])
