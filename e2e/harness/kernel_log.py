# SPDX-License-Identifier: Apache-2.0
"""What in a kernel's log means that something went wrong, whoever's fault it is."""

import re

BAD = re.compile(
    r"\bWARNING: |\bBUG: |\bBUG at |kernel BUG|\bOops\b|general protection fault|double fault|Call Trace:|"
    r"Bad rss-counter|Bad page (state|map)|bad p[mu]d|bad pte|refcount_t:|refcount.*(underflow|leak)|"
    r"possible (circular|recursive) locking|inconsistent lock state|suspicious RCU usage|"
    r"INFO: (task .* blocked|rcu|lockdep|trying)|soft lockup|hard LOCKUP|rcu: .*self-detected stall|"
    r"Kernel panic|KASAN|UBSAN|kmemleak: \d+ new|unable to handle|list_(add|del) corruption|"
    r"Slab .*: Objects remaining|scheduling while atomic|sleeping function called from invalid|"
    r"Memory failure|still in use|Busy inodes after unmount|percpu ref .*<= 0")


def complaints(log):
    """The lines of `log` that mean trouble."""
    return [line for line in log.splitlines() if BAD.search(line)]
