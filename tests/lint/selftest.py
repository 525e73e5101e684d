#!/usr/bin/python3
"""Each lint rule against a sample that breaks it, and one that does not: a rule that never fires is
no rule."""

import pathlib
import subprocess
import tempfile
import unittest

import banned_calls
import documents
import file_rules
import layering
import linkage
import lint
import man_pages
import proto_rules
import scripts


SAMPLES = tempfile.TemporaryDirectory(prefix="hvguard-lint-")
unittest.addModuleCleanup(SAMPLES.cleanup)


class Tree:
    """A small tree in a temporary folder."""

    def __init__(self, files):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=SAMPLES.name))
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def faults(check, files):
    tree = Tree(files)
    return [str(fault) for fault in check(tree.root)[0]]


class Lines(unittest.TestCase):
    def test_comments_and_strings_are_not_code(self):
        text = 'int a; // open(x)\n/* rand()\n rand() */ f("getenv(x)"); g(\'"\'); h(1\'000);\n'
        code = "\n".join(line for _, line in lint.code_lines(text))
        for word in ("open", "rand", "getenv"):
            self.assertNotIn(word, code)
        for word in ("int a;", "f(", "g(", "h(1'000)"):
            self.assertIn(word, code)


class Layering(unittest.TestCase):
    GOOD = [
        ("decide", '"detect/facts.h"'), ("decide", '"model/vm.h"'), ("observe", '"base/fd.h"'),
        ("guard", '"publish/core_server.h"'), ("link", '"hvguard/v1/core_link.pb.h"'),
        ("gateway", '"link/core_client.h"'), ("gateway", "<grpcpp/grpcpp.h>"),
        ("ctl", '"hvguard/v1/agent_service.grpc.pb.h"'), ("config", "<toml++/toml.h>"),
        ("detect", "<algorithm>"), ("observe/ebpf", '"tasks.skel.h"'), ("observe/ebpf", "<bpf/bpf.h>"),
        ("link", '"hvguard/v1/agent_service.pb.h"'), ("observe/ebpf", '"shared/tasks.h"'),
    ]
    BAD = [
        ("base", '"model/vm.h"'), ("model", '"detect/derive.h"'), ("detect", '"decide/policy.h"'),
        ("detect", '"observe/sampler.h"'), ("observe", '"detect/derive.h"'),
        ("publish", '"config/reader.h"'), ("gateway", '"model/vm.h"'), ("ctl", '"publish/frame.h"'),
        ("link", '"model/vm.h"'), ("observe", '"shared/tasks.h"'), ("link", "<grpcpp/grpcpp.h>"),
        ("link", '"hvguard/v1/agent_service.grpc.pb.h"'), ("observe", '"hvguard/v1/vm.pb.h"'), ("observe", "<bpf/bpf.h>"),
        ("guard", "<grpcpp/grpcpp.h>"), ("publish", '"hvguard/v1/agent_service.pb.h"'),
        ("publish", "<CLI/CLI.hpp>"), ("detect", "<spdlog/spdlog.h>"), ("publish", "<toml++/toml.h>"),
        ("detect", "<thread>"), ("decide", "<fcntl.h>"), ("detect", "<systemd/sd-event.h>"),
        ("observe", '"../base/fd.h"'), ("observe", '"sampler.h"'), ("guard", '"unknown/x.h"'),
        ("mystery", "<vector>"),
    ]

    def test_allowed(self):
        for folder, included in self.GOOD:
            with self.subTest(f"{folder} {included}"):
                self.assertEqual(faults(layering.check, {
                    f"agent/{folder}/x.cpp": f"#include {included}\n"}), [])

    def test_forbidden(self):
        for folder, included in self.BAD:
            with self.subTest(f"{folder} {included}"):
                self.assertEqual(len(faults(layering.check, {
                    f"agent/{folder}/x.cpp": f"int a;\n#include {included}\n"})), 1)


class BannedCalls(unittest.TestCase):
    PURE = [
        "auto t = std::chrono::system_clock::now();", "auto t = boot_time_now();",
        "auto t = wall_time_now();", "clock_gettime(CLOCK_BOOTTIME, &t);", "return time(nullptr);",
        "int fd = open(path, O_RDONLY);", "if (::read(fd, b, n) < 0) {", "std::ifstream in(path);",
        "spdlog::info(text);", "const char* home = getenv(name);", "int n = rand();",
        "int n = f(rand());", "std::random_device seed;", "std::this_thread::yield();",
        "std::mutex lock;", "static int calls = 0;", "std::cout << 1;", "printf(text);",
        "pid_t self = getpid();",
    ]
    EVERYWHERE = [
        "std::regex pattern;", "system(command);", "strcpy(a, b);", "throw Error();",
        "using namespace std;", "#include <iostream>",
    ]
    FINE = [
        "bool open = true;", "std::size_t open() const;", "book.open(finding);", "reopen(x);",
        "static const int kLimit = 3;", "static constexpr int kLimit = 3;", "brand(x);",
        "// rand() and getenv(x)", "auto now = snapshot.time;", "std::size_t read() const;",
        "Entry& open(Finding f);\nEntry& e = open(f);",
    ]

    def test_pure_folders(self):
        for line in self.PURE:
            for folder in ("detect", "decide"):
                with self.subTest(f"{folder}: {line}"):
                    self.assertNotEqual(faults(banned_calls.check,
                                               {f"agent/{folder}/x.cpp": line + "\n"}), [])
            with self.subTest(f"observe: {line}"):
                self.assertEqual(faults(banned_calls.check, {"agent/observe/x.cpp": line + "\n"}), [])

    def test_everywhere(self):
        for line in self.EVERYWHERE:
            with self.subTest(line):
                self.assertNotEqual(faults(banned_calls.check,
                                           {"agent/gateway/x.cpp": line + "\n"}), [])

    def test_fine(self):
        for line in self.FINE:
            with self.subTest(line):
                self.assertEqual(faults(banned_calls.check, {"agent/detect/x.cpp": line + "\n"}), [])


class FileRules(unittest.TestCase):
    def test_each_rule(self):
        long_file = "int a;\n" * 501
        machine_path = "# /wo" + "rk/main/x\n"
        mirror = "deb http://mirror.exam" + "ple/debian bookworm\n"
        samples = {
            "agent/base/x.cpp": long_file, "agent/guard/main.cpp": "int a;\n" * 81,
            "bpf/x.bpf.c": "/* no licence */\n", "agent/base/y.h": "int a;\n",
            "docs/a.md": machine_path, "tests/run": mirror, "agent/base/z.cpp": "int a; \n",
            "agent/base/w.cpp": "int a;",
        }
        for name, text in samples.items():
            with self.subTest(name):
                self.assertEqual(len(faults(file_rules.check, {name: text})), 1)

    def test_fine(self):
        good = {
            "agent/base/x.cpp": "int a;\n" * 500, "agent/guard/main.cpp": "int a;\n" * 80,
            "agent/base/y.h": "#pragma once\n",
            "bpf/x.bpf.c": "// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause\n",
            "tests/fixtures/proc/1/cmdline": "/wo" + "rk/x",
        }
        self.assertEqual(faults(file_rules.check, good), [])


PROTO = '''syntax = "proto3";
package hvguard.v1;
import "google/protobuf/timestamp.proto";
// A thing.
message Thing {
  // State.
  enum State {
    // None.
    STATE_UNSPECIFIED = 0;
    // On.
    STATE_ON = 1;
  }
  // When.
  google.protobuf.Timestamp start_time = 1;
  // Size.
  optional uint64 size_bytes = 2;
}
// Asks.
message GetThingRequest {}
// Answers.
message GetThingResponse {}
// Serves.
service ThingService {
  // Gets.
  rpc GetThing(GetThingRequest) returns (GetThingResponse);
}
'''


class ProtoRules(unittest.TestCase):
    BREAKS = [
        ("  // State.\n  enum", "  enum", "no comment"),
        ("    // On.\n", "", "no comment"),
        ("  // Size.\n", "", "no comment"),
        ("// A thing.\n", "", "no comment"),
        ("  // Gets.\n", "", "no comment"),
        ("// Serves.\n", "", "no comment"),
        ("STATE_UNSPECIFIED", "STATE_NONE", "must begin with"),
        ("STATE_ON", "ON", "begin with STATE_"),
        ("size_bytes", "sizeBytes", "lower_snake_case"),
        ("size_bytes", "size_mb", "use Duration"),
        ("start_time", "started", "called x_time"),
        ("message Thing ", "message thing ", "PascalCase"),
        ("ThingService", "ThingApi", "end with Service"),
        ("GetThingResponse", "Answer", "must be GetThingResponse"),
        ("package hvguard.v1", "package hvguard.v2", "package must be"),
        ("  rpc GetThing(", "  // Again.\n  rpc Again(GetThingRequest) returns (GetThingResponse);\n"
                             "  // Gets.\n  rpc GetThing(", "also used by"),
    ]

    def rules(self, text):
        tree = Tree({"hvguard/v1/thing.proto": text})
        out = tree.root / "set.desc"
        subprocess.run(["protoc", "--include_imports", "--include_source_info", "-I", tree.root,
                        f"--descriptor_set_out={out}", "hvguard/v1/thing.proto"], check=True)
        files = proto_rules.read_files(out)
        return files, proto_rules.Rules(files).faults

    def test_good(self):
        self.assertEqual(self.rules(PROTO)[1], [])

    def test_each_rule(self):
        for before, after, expected in self.BREAKS:
            with self.subTest(expected + ": " + after):
                self.assertIn(before, PROTO)
                self.assertTrue(any(expected in fault
                                    for fault in self.rules(PROTO.replace(before, after))[1]))

    def test_golden(self):
        tree = Tree({})
        golden = tree.root / "api.golden"
        files = self.rules(PROTO)[0]
        golden.write_text("".join(proto_rules.golden_lines(files)))
        self.assertEqual(proto_rules.golden_faults(files, golden), [])
        changed = self.rules(PROTO.replace("size_bytes = 2", "size_bytes = 3"))[0]
        self.assertEqual(len(proto_rules.golden_faults(changed, golden)), 1)


class ManPages(unittest.TestCase):
    PROGRAM = '''#!/bin/sh
set -e
case "$*" in
  --help) printf 'Options:\\n  -h,--help  help\\n\\nSubcommands:\\n  vms   lists\\n' ;;
  'vms --help') printf 'Options:\\n  --json  JSON\\n' ;;
  *) exit 9 ;;
esac
'''
    PAGE = "*-h*, *--help*\n\tHelp.\n\n*--json*\n\tJSON.\n\nSee *systemctl*(1) --user.\n"

    def test_options(self):
        tree = Tree({"program": self.PROGRAM})
        program = tree.root / "program"
        program.chmod(0o755)
        options = man_pages.help_options(str(program))
        self.assertEqual(options, {"--help", "--json"})
        self.assertEqual(man_pages.option_faults("x", self.PAGE, options), [])
        self.assertEqual(len(man_pages.option_faults("x", self.PAGE.replace("--json", "--xml"),
                                                     options)), 2)

    def test_keys(self):
        keys = [("log", "level")]
        self.assertEqual(man_pages.key_faults("x", "[log]\n#level = 1\n", keys,
                                              lambda key: rf"^#?\s*{key}\s*="), [])
        for bad in ("[log]\nlevels = 1\n", "[other]\nlevel = 1\n", ""):
            self.assertNotEqual(man_pages.key_faults("x", bad, keys,
                                                     lambda key: rf"^#?\s*{key}\s*="), [])

    def test_render(self):
        self.assertEqual(man_pages.render_faults("x", "a(1)\n\n# NAME\n\na - b\n"), [])
        self.assertNotEqual(man_pages.render_faults("x", "no heading\n"), [])


class Documents(unittest.TestCase):
    def test_runbook(self):
        whole = "## hung_task\n" + "".join(f"**{part}** x\n" for part in documents.RUNBOOK_PARTS)
        self.assertEqual(documents.runbook_faults(["hung_task"], whole), [])
        self.assertEqual(len(documents.runbook_faults(["io_stall"], whole)), 1)
        self.assertEqual(len(documents.runbook_faults(["hung_task"],
                                                      whole.replace("**Tuning**", ""))), 1)

    def test_links(self):
        tree = Tree({"a.md": "[x](b.md) [y](https://example.org) `agent/none.h`\n"})
        self.assertEqual(len(documents.link_faults(tree.root, tree.root / "a.md")), 2)

    def test_every_kind_is_found(self):
        self.assertIn("hung_task", documents.incident_kinds(lint.ROOT))


class Scripts(unittest.TestCase):
    def test_rules(self):
        self.assertNotEqual(faults(scripts.check, {"a.sh": "#!/bin/bash\nset -e\nrm $1\n"}), [])
        self.assertNotEqual(faults(scripts.check, {"a.sh": "#!/bin/bash\necho\n"}), [])
        self.assertEqual(faults(scripts.check, {"a.sh": "#!/bin/bash\nset -euo pipefail\necho\n"}), [])


class Linkage(unittest.TestCase):
    DYNAMIC = ("0x1 (NEEDED) Shared library: [libc.so.6]\n0x2 (FLAGS_1) Flags: NOW PIE\n")
    HEADERS = "GNU_STACK 0x0 0x0 0x0 0x0 0x0 RW  0x10\nGNU_RELRO 0x0\n"

    def test_rules(self):
        self.assertEqual(linkage.faults_of("hvguardd", self.DYNAMIC, self.HEADERS), [])
        for dynamic, headers in (
                (self.DYNAMIC + "0x1 (NEEDED) Shared library: [libgrpc++.so.1.51]\n", self.HEADERS),
                (self.DYNAMIC.replace("PIE", ""), self.HEADERS),
                (self.DYNAMIC.replace("NOW", ""), self.HEADERS),
                (self.DYNAMIC, self.HEADERS.replace("RELRO", "")),
                (self.DYNAMIC, self.HEADERS.replace("RW ", "RWE"))):
            self.assertEqual(len(linkage.faults_of("hvguardd", dynamic, headers)), 1)


if __name__ == "__main__":
    unittest.main()
