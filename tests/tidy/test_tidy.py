# SPDX-License-Identifier: Apache-2.0
"""tidy sees what it is there to see: each fault is planted in a tree of its own."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tidy  # noqa: E402

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
GPL = "// SPDX-License-Identifier: GPL-2.0-only\n"
DUAL = "// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0\n"
BASE = {"common/base/status.hpp": SPDX, "common/os/fd.hpp": SPDX, "kernel-module/include/daxfs/format.h": DUAL,
        "kernel-module/core/core.h": DUAL, "imagebuilder/main.hpp": SPDX}

PLANTED = [
    ("arrow", {"common/base/a.cpp": SPDX + '#include "common/os/fd.hpp"\n'}),
    ("arrow", {"common/oci/a.cpp": SPDX + '#include "core.h"\n'}),
    ("arrow", {"kernel-module/core/a.c": DUAL + '#include "common/base/status.hpp"\n'}),
    ("arrow", {"common/os/a.cpp": SPDX + '#include "imagebuilder/main.hpp"\n'}),
    ("only-in", {"tools/a.cpp": SPDX + '#include "daxfs/format.h"\n'}),
    ("only-in", {"common/oci/a.cpp": SPDX + "#include <sys/mman.h>\n"}),
    ("only-in", {"common/os/a.cpp": SPDX + "#include <grpcpp/grpcpp.h>\n"}),
    ("only-in", {"tools/a.cpp": SPDX + '#include "common/rpc/client.hpp"\n'}),
    ("banned", {"common/format/a.cpp": SPDX + "auto* s = reinterpret_cast<const daxfs_super*>(p);\n"}),
    ("banned", {"common/convert/a.cpp": SPDX + "size_t o = offsetof(daxfs_inode, size);\n"}),
    ("banned", {"tools/a.cpp": SPDX + 'int r = system("ls");\n'}),
    ("banned", {"kernel-module/fs/a.c": GPL + "#if LINUX_VERSION_CODE\n"}),
    ("banned", {"kernel-module/core/a.c": DUAL + "__atomic_load(a, b, c);\n"}),
    ("spdx", {"common/base/a.cpp": "int a;\n"}),
    ("spdx", {"kernel-module/fs/a.c": SPDX}),
    ("columns", {"common/base/a.cpp": SPDX + "// " + "x" * 100 + "\n"}),
    ("file-lines", {"common/base/a.cpp": SPDX + "int a;\n" * 500}),
    ("function-lines", {"common/base/a.cpp": SPDX + "void F() {\n" + "  a();\n" * 70 + "}\n"}),
    ("function-lines", {"e2e/a.py": "# SPDX-License-Identifier: Apache-2.0\ndef f():\n" + "    a()\n" * 71}),
    ("nesting", {"common/base/a.cpp": SPDX + "void F() {\n" + "if (a) {" * 5 + "}" * 5 + "\n}\n"}),
    ("language", {"common/base/a.h": SPDX + "namespace x {\n"}),
    ("title", {"docs/a.md": "no title\n"}),
    ("readme", {"common/base/README.md": "# base\n" + "x\n" * 20}),
    ("unbuilt", {"common/base/a_test.cpp": SPDX}),
    ("adr", {"docs/adr/0001-x.md": "# x\n"}),
]


def faults_of(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tidy.House(tmp_path).check()


def test_a_clean_tree_is_clean(tmp_path):
    files = dict(BASE)
    files["common/convert/a.cpp"] = SPDX + '#include "core.h"\n#include "common/os/fd.hpp"\n#include "daxfs/format.h"\n'
    assert faults_of(tmp_path, files) == []


@pytest.mark.parametrize("rule,files", PLANTED, ids=[f"{r}-{i}" for i, (r, _) in enumerate(PLANTED)])
def test_a_planted_fault_is_seen(tmp_path, rule, files):
    faults = faults_of(tmp_path, {**BASE, **files})
    assert rule in [f.split(": ")[1] for f in faults], faults


def test_an_exception_needs_its_reason(tmp_path):
    long_line = {"common/base/a.cpp": SPDX + "// " + "x" * 100 + "\n"}
    excepted = {**BASE, **long_line, "tests/tidy/exceptions": "common/base/a.cpp columns a table\n"}
    assert faults_of(tmp_path, excepted) == []
    with pytest.raises(ValueError):
        faults_of(tmp_path, {**excepted, "tests/tidy/exceptions": "common/base/a.cpp columns\n"})


def test_padding_fails_the_build(tmp_path):
    """A field added to a structure without its reserved bytes: the assertions or the padding check stop it."""
    root = pathlib.Path(__file__).resolve().parents[2]
    header = (root / "kernel-module/include/daxfs/format.h").read_text()
    spoiled = header.replace("__u8 reserved[0x20];", "__u8 reserved[0x1f];", 1)
    assert spoiled != header
    folder = tmp_path / "daxfs"
    folder.mkdir()
    (folder / "format.h").write_text(spoiled)
    for path in (root / "kernel-module/include/daxfs").iterdir():
        if path.name != "format.h":
            (folder / path.name).write_text(path.read_text())
    build = subprocess.run(["g++", "-std=c++20", "-fsyntax-only", f"-I{tmp_path}", root / "tests/abi/abi_test.cpp"],
                           capture_output=True, text=True, check=False)
    assert build.returncode != 0 and "kSharedMemorySafe<daxfs_inode>" in build.stderr, build.stderr
