# SPDX-License-Identifier: Apache-2.0
"""The list of fences, flushes and looks sees what is missing on either side."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import sites  # noqa: E402

CODE = """static int one(const struct daxfs_pool *pool,
		__u32 row)
{
	if (DAXFS_RULE(USE_FENCE))
		daxfs_fence();
	return other(row);
}

void two(void)
{
	daxfs_publish(bytes, 8);
}
"""
REMOVALS = """{"use-fence", RULE(USE_FENCE), "A-world", kTso, kUse},
{"use-recheck", Rules(DAXFS_RULE_USE_RECHECK, DAXFS_RULE_RESCUE),
 "B-world", kSc, kUse},"""
ROWS = ["| `one` | use-fence | A-world tso |", "| `one` | fence | `use-fence`: A-world tso |",
        "| `two` | publish | litmus: `sim_test` APair |"]
LITMUS = "TEST(Litmus, APair) {"


def page(rows):
    head = ["# Page", "", sites.HEADING, "", "| function | what | seen in |", "|---|---|---|"]
    return "\n".join([*head, *rows, "", "## Next", ""])


def test_a_list_that_agrees():
    assert sites.code_sites(CODE) == [("one", "use-fence"), ("one", "fence"), ("two", "publish")]
    assert sites.removals(REMOVALS) == {("use-fence", "A-world", "tso"), ("use-recheck", "B-world", "sc")}
    wrong, seen = sites.faults({"pool_a.c": CODE}, page(ROWS), REMOVALS, LITMUS)
    assert not wrong and seen == {"store buffer": 2, "litmus model": 1}


def test_a_rule_is_one_site_of_its_function():
    twice = CODE.replace("return other(row)", "return DAXFS_RULE(USE_FENCE) ? 0 : other(row)")
    assert sites.code_sites(twice) == sites.code_sites(CODE)
    assert sites.removals('apart("far-fence", DAXFS_RULE_FAR_FENCE, "P-x", kUse),') == {("far-fence", "P-x", "apart")}


@pytest.mark.parametrize("rows", [
    ROWS[:2], ROWS[1:], [*ROWS, ROWS[2]], [*ROWS, "| `three` | fence | litmus: `sim_test` APair |"],
    ["| `one` | use-fence | A-world sc |", *ROWS[1:]], ["| `one` | use-fence | |", *ROWS[1:]],
    ["| `one` | use-fence | A-world tso, B-world sc |", *ROWS[1:]], [*ROWS[:2], ROWS[2].replace("APair", "None")],
    [*ROWS[:2], ROWS[2].removesuffix(" |") + "; `use-fence`: B-world sc |"],
])
def test_what_does_not_agree_is_told(rows):
    assert len(sites.faults({"pool_a.c": CODE}, page(rows), REMOVALS, LITMUS)[0]) == 1


def test_the_list_of_this_tree():
    assert sites.main() == 0
