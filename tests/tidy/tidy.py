#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a compiler does not know, as a test.

Checks every file git tracks or would track: include arrows and banned words (arrows.json), lines per file and
function, columns, nesting, SPDX, C++ in .h files, one title a Markdown file, every *_test.cpp in a CMakeLists.txt, ADR
index. Prints FILE:LINE: RULE: what, and exits 1 if there is any.

Usage: tidy.py [ROOT]
"""

import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CODE = re.compile(r"\.(cpp|hpp|c|h|py|sh)$")
C_LIKE = re.compile(r"\.(cpp|hpp|c|h)$")
TEST = re.compile(r"(_test|_fuzz|_bench)\.cpp$|(^|/)test_\w+\.py$|^(tests|e2e|bench)/|/testing/")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
FILE_LINES, FUNCTION_LINES, COLUMNS, EXCEPTIONS = 500, 70, 100, 10
TEST_FILE_LINES, TEST_COLUMNS = 800, 120  # tests are long lists and long sentences
NESTING = 4  # blocks inside a function's body, its own not counted; loops in a switch are the deepest we want


class House:
    """The tree under `root`: its files, its rules, and what is wrong with it."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.rules = json.loads((HERE / "arrows.json").read_text())
        self.rooms = sorted(self.rules["rooms"], key=len, reverse=True)
        listed = subprocess.run(["git", "-C", self.root, "ls-files", "-co", "--exclude-standard"],
                                check=True, capture_output=True, text=True).stdout.split("\n")
        self.files = sorted(f for f in set(listed) if f and (self.root / f).is_file())
        self.text = {f: (self.root / f).read_text(encoding="utf-8") for f in self.files if self.is_text(f)}
        self.exceptions = self.read_exceptions()
        self.faults = []

    @staticmethod
    def is_text(name):
        named = (".md", ".txt", "Makefile", "Kbuild")
        return bool(CODE.search(name)) or name.endswith(named) or name.startswith("scripts/")

    def read_exceptions(self):
        path = self.root / "tests/tidy/exceptions"
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [line.split(None, 2) for line in lines if line and not line.startswith("#")]
        if len(rows) > EXCEPTIONS or any(len(row) < 3 for row in rows):
            raise ValueError(f"tests/tidy/exceptions: at most {EXCEPTIONS} lines, each FILE RULE REASON")
        return {(row[0], row[1]) for row in rows}

    def fault(self, name, line, rule, what):
        if (name, rule) not in self.exceptions:
            self.faults.append(f"{name}:{line}: {rule}: {what}")

    def room_of(self, name):
        return next((room for room in self.rooms if name.startswith(room + "/")), None)

    def target_of(self, name, include):
        """The tracked file an include means, or None for a header of the system."""
        room = self.room_of(name) or ""
        for base in (str(pathlib.PurePosixPath(name).parent), room, "", "kernel-module/include", "kernel-module/core"):
            path = str(pathlib.PurePosixPath(base, include)) if base not in ("", ".") else include
            if path in self.text:
                return path
        return None

    def check_includes(self, name):
        room = self.room_of(name)
        for number, line in enumerate(self.text[name].splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            self.check_only_in(name, number, match.group(1))
            target = self.target_of(name, match.group(1))
            other = self.room_of(target) if target else None
            if TEST.search(name) or not room or not other or other == room:
                continue
            if other not in self.rules["rooms"][room]:
                self.fault(name, number, "arrow", f"{room} may not include {other} ({match.group(1)})")

    def check_only_in(self, name, number, include):
        for rule in self.rules["only_in"]:
            if not re.search(rule["include"], include):
                continue
            rooms = rule.get("rooms")
            allowed = any(name.startswith(r + "/") for r in rooms) if rooms else re.search(rule["files"], name)
            if not allowed and not TEST.search(name):
                self.fault(name, number, "only-in", f"{rule['what']}: {rule['why']}")

    def check_banned(self, name):
        for rule in self.rules["banned"]:
            if not re.search(rule["files"], name) or (rule.get("except") and re.search(rule["except"], name)):
                continue
            if not any(room == "" or name.startswith(room + "/") for room in rule["rooms"]):
                continue
            for number, line in enumerate(self.text[name].splitlines(), 1):
                if re.search(rule["pattern"], line):
                    self.fault(name, number, "banned", f"{rule['why']}: {line.strip()}")

    def check_sizes(self, name):
        lines = self.text[name].splitlines()
        test = TEST.search(name)
        most, widest = (TEST_FILE_LINES, TEST_COLUMNS) if test else (FILE_LINES, COLUMNS)
        if len(lines) > most:
            self.fault(name, len(lines), "file-lines", f"{len(lines)} lines, at most {most}")
        for number, line in enumerate(lines, 1):
            width = len(line.expandtabs(8))
            if width > widest:
                self.fault(name, number, "columns", f"{width} columns, at most {widest}")

    def check_functions(self, name):
        if TEST.search(name) and not name.startswith(("e2e/", "bench/")):
            return
        for start, end, depth in functions(self.text[name], name.endswith(".py")):
            if end - start + 1 > FUNCTION_LINES:
                self.fault(name, start, "function-lines", f"{end - start + 1} lines, at most {FUNCTION_LINES}")
            if depth > NESTING:
                self.fault(name, start, "nesting", f"{depth} blocks deep, at most {NESTING}")

    def check_head(self, name):
        head = "\n".join(self.text[name].splitlines()[:3])
        if "SPDX-License-Identifier:" not in head:
            self.fault(name, 1, "spdx", "no SPDX-License-Identifier in the first three lines")
        licence = head.partition("SPDX-License-Identifier:")[2].split("\n")[0]
        if name.startswith("kernel-module/fs/") and "GPL-2.0-only" not in licence:
            self.fault(name, 1, "spdx", "fs/ is GPL-2.0-only")
        shared = name.startswith(("kernel-module/core/", "kernel-module/include/"))
        if shared and "GPL-2.0-only OR Apache-2.0" not in licence:
            self.fault(name, 1, "spdx", "core/ and include/ are GPL-2.0-only OR Apache-2.0")

    def check_language(self, name):
        if name.endswith(".h") and re.search(r"^\s*(namespace|template|class)\b", self.text[name], re.M):
            self.fault(name, 1, "language", ".h compiles in the kernel: C++ goes into .hpp")

    def check_markdown(self, name):
        text = re.sub(r"^```.*?^```", "", self.text[name], flags=re.M | re.S)
        titles = re.findall(r"^# ", text, re.M)
        if len(titles) != 1:
            self.fault(name, 1, "title", f"{len(titles)} titles, one wanted")
        if name.endswith("/README.md") and not name.startswith("docs/") and len(self.text[name].splitlines()) > 20:
            self.fault(name, 21, "readme", "a room's README has at most 20 lines")

    def check_tests_built(self):
        lists = "\n".join(text for name, text in self.text.items() if name.endswith("CMakeLists.txt"))
        for name in self.text:
            if name.endswith("_test.cpp") and pathlib.PurePosixPath(name).name not in lists:
                self.fault(name, 1, "unbuilt", "in no CMakeLists.txt")

    def check_adrs(self):
        index = self.text.get("docs/adr/README.md", "")
        for name in self.text:
            if name.startswith("docs/adr/") and name != "docs/adr/README.md":
                if pathlib.PurePosixPath(name).name not in index:
                    self.fault(name, 1, "adr", "not listed in docs/adr/README.md")
                if len(self.text[name].splitlines()) > 40:
                    self.fault(name, 41, "adr", "at most 40 lines")

    def check(self):
        for name in self.text:
            if CODE.search(name):
                self.check_head(name)
                self.check_sizes(name)
                self.check_functions(name)
                self.check_banned(name)
                self.check_language(name)
            if C_LIKE.search(name):
                self.check_includes(name)
            if name.endswith(".md"):
                self.check_markdown(name)
        self.check_tests_built()
        self.check_adrs()
        return self.faults


def functions(text, is_python):
    """Yields (first line, last line, blocks inside) of each function; read from the layout formatters keep."""
    yield from python_functions(text) if is_python else c_functions(text)


def python_functions(text):
    lines = text.splitlines()
    for index, line in enumerate(lines):
        match = re.match(r"(\s*)(async )?def ", line)
        if not match:
            continue
        indent, last, depth = len(match.group(1)), index, 0
        for number in range(index + 1, len(lines)):
            body = lines[number]
            if body.strip() and len(body) - len(body.lstrip()) <= indent and not body.lstrip().startswith(")"):
                break
            if body.strip():
                last = number
            if re.match(r"\s*(if|for|while|with|try)\b.*:\s*$", body):
                depth = max(depth, (len(body) - len(body.lstrip()) - indent) // 4)
        yield index + 1, last + 1, depth


def c_functions(text):
    """A function is a block whose header ends in `)` (and qualifiers) before its `{`."""
    depth, stack = 0, []
    code = blank_strings_and_comments(text)
    for number, line in enumerate(code.splitlines(), 1):
        for position, char in enumerate(line):
            if char == "{":
                head = (code_before(code, number, position)).rstrip()
                is_function = re.search(r"\)\s*(const|override|noexcept|final|\s)*$", head) and not stack
                is_function = is_function and not re.search(r"\b(if|for|while|switch|do|else)\s*\([^{;]*$", head[-300:])
                if is_function:
                    stack.append([number, depth, 0])
                depth += 1
                if stack:
                    stack[-1][2] = max(stack[-1][2], depth - stack[-1][1] - 1)
            elif char == "}":
                depth -= 1
                if stack and depth == stack[-1][1]:
                    start, _, inside = stack.pop()
                    yield start, number, inside


def code_before(code, number, position):
    lines = code.splitlines()
    return "\n".join(lines[max(0, number - 8):number - 1] + [lines[number - 1][:position]])


def blank_strings_and_comments(text):
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def main(argv):
    root = argv[1] if len(argv) > 1 else HERE.parents[1]
    faults = House(root).check()
    for fault in faults:
        print(fault)
    print(f"tidy: {len(faults)} faults", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
