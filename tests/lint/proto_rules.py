#!/usr/bin/python3
"""The API's rules over its descriptor: buf's STANDARD set as far as it applies, a comment on every
message, field, enum, value, service and rpc, and the golden descriptor proto/api.golden, which makes
each API change a visible diff. UPDATE_GOLDEN=1 rewrites it."""

import argparse
import difflib
import os
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2

from lint import ROOT

GOLDEN = "proto/api.golden"
PACKAGE = "hvguard.v1"
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PASCAL = re.compile(r"([A-Z][a-z0-9]*)+")
UPPER = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
# Suffixes that say a unit but not which, or not ours (docs/ARCHITECTURE.md, API names).
BAD_UNITS = re.compile(r".*_(ms|us|ns|sec|secs|kb|mb|kib|mib|percent|pct|timestamp|at)$")
UNIT_EXCEPTIONS = {"interval_ms"}
# Between processes of one package: instants of the boot clock, which a Timestamp cannot hold.
INTERNAL_FILES = {"hvguard/v1/core_link.proto"}

FIELD = descriptor_pb2.FieldDescriptorProto
TYPE_NAMES = {value: name[5:].lower() for name, value in FIELD.Type.items()}


def upper_snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


class File:
    """One file of the descriptor set with its comments by path."""

    def __init__(self, proto):
        self.proto = proto
        self.comments = {tuple(place.path): place.leading_comments.strip()
                         for place in proto.source_code_info.location}
        self.lines = {tuple(place.path): place.span[0] + 1
                      for place in proto.source_code_info.location}


def read_files(descriptor_path):
    wanted = descriptor_pb2.FileDescriptorSet()
    wanted.ParseFromString(pathlib.Path(descriptor_path).read_bytes())
    return [File(proto) for proto in wanted.file if proto.package.startswith("hvguard")]


class Rules:
    def __init__(self, files):
        self.faults = []
        self.checked = 0
        self.rpc_types = {}
        for file in files:
            self.file = file
            self.file_rules()

    def fault(self, path, message):
        line = self.file.lines.get(tuple(path), 1)
        self.faults.append(f"proto/{self.file.proto.name}:{line}: {message}")

    def commented(self, path, what):
        self.checked += 1
        comment = self.file.comments.get(tuple(path), "")
        if len(comment) < 3:
            self.fault(path, f"{what} has no comment")
        elif comment.startswith("buf:lint"):
            self.fault(path, f"{what}: lint exceptions are not used")

    def file_rules(self):
        proto = self.file.proto
        if proto.syntax != "proto3":
            self.fault((), "syntax must be proto3")
        if proto.package != PACKAGE:
            self.fault((), f"package must be {PACKAGE}")
        directory, name = os.path.split(proto.name)
        if directory != PACKAGE.replace(".", "/"):
            self.fault((), f"a file of {PACKAGE} lies in {PACKAGE.replace('.', '/')}")
        if not SNAKE.fullmatch(name.removesuffix(".proto")):
            self.fault((), "file names are lower_snake_case.proto")
        if proto.public_dependency or proto.weak_dependency:
            self.fault((), "public and weak imports are not used")
        for index, message in enumerate(proto.message_type):
            self.message_rules(message, (4, index), message.name)
        for index, enum in enumerate(proto.enum_type):
            self.enum_rules(enum, (5, index))
        for index, service in enumerate(proto.service):
            self.service_rules(service, (6, index))

    def message_rules(self, message, path, full_name):
        self.commented(path, f"message {full_name}")
        if not PASCAL.fullmatch(message.name):
            self.fault(path, f"message {full_name} is not PascalCase")
        if message.extension or message.extension_range:
            self.fault(path, f"message {full_name}: no extensions")
        synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
        for index, field in enumerate(message.field):
            self.field_rules(field, path + (2, index), full_name)
        for index, oneof in enumerate(message.oneof_decl):
            if index in synthetic:
                continue
            self.commented(path + (8, index), f"oneof {full_name}.{oneof.name}")
            if not SNAKE.fullmatch(oneof.name):
                self.fault(path + (8, index), f"oneof {oneof.name} is not lower_snake_case")
        for index, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                self.message_rules(nested, path + (3, index), f"{full_name}.{nested.name}")
        for index, enum in enumerate(message.enum_type):
            self.enum_rules(enum, path + (4, index))

    def field_rules(self, field, path, owner):
        what = f"field {owner}.{field.name}"
        self.commented(path, what)
        if not SNAKE.fullmatch(field.name):
            self.fault(path, f"{what} is not lower_snake_case")
        if field.label == FIELD.LABEL_REQUIRED or field.type == FIELD.TYPE_GROUP:
            self.fault(path, f"{what}: required and groups are not proto3")
        if field.type_name == ".google.protobuf.Timestamp" and not field.name.endswith("_time"):
            self.fault(path, f"{what}: a Timestamp is called x_time")
        if field.type_name == ".google.protobuf.Duration" and not field.name.endswith("_duration"):
            self.fault(path, f"{what}: a Duration is called x_duration")
        internal = self.file.proto.name in INTERNAL_FILES or field.name in UNIT_EXCEPTIONS
        if BAD_UNITS.fullmatch(field.name) and not internal:
            self.fault(path, f"{what}: use Duration, Timestamp, _bytes, _ratio, _per_second, _count")

    def enum_rules(self, enum, path):
        self.commented(path, f"enum {enum.name}")
        if not PASCAL.fullmatch(enum.name):
            self.fault(path, f"enum {enum.name} is not PascalCase")
        if enum.options.allow_alias:
            self.fault(path, f"enum {enum.name}: no aliases")
        prefix = upper_snake(enum.name) + "_"
        for index, value in enumerate(enum.value):
            place = path + (2, index)
            self.commented(place, f"enum value {value.name}")
            if not UPPER.fullmatch(value.name) or not value.name.startswith(prefix):
                self.fault(place, f"{value.name} must be UPPER_SNAKE_CASE and begin with {prefix}")
        first = enum.value[0]
        if first.number != 0 or first.name != prefix + "UNSPECIFIED":
            self.fault(path, f"enum {enum.name} must begin with {prefix}UNSPECIFIED = 0")

    def service_rules(self, service, path):
        self.commented(path, f"service {service.name}")
        if not PASCAL.fullmatch(service.name) or not service.name.endswith("Service"):
            self.fault(path, f"service {service.name} must be PascalCase and end with Service")
        for index, method in enumerate(service.method):
            place = path + (2, index)
            self.commented(place, f"rpc {service.name}.{method.name}")
            if not PASCAL.fullmatch(method.name):
                self.fault(place, f"rpc {method.name} is not PascalCase")
            for type_name, suffix in ((method.input_type, "Request"), (method.output_type, "Response")):
                short = type_name.rsplit(".", 1)[-1]
                if short != method.name + suffix:
                    self.fault(place, f"rpc {method.name}: {short} must be {method.name}{suffix}")
                user = self.rpc_types.setdefault(type_name, f"{service.name}.{method.name}")
                if user != f"{service.name}.{method.name}":
                    self.fault(place, f"{short} is also used by {user}")


def golden_lines(files):
    """The API as sorted, stable text without comments."""
    out = []
    for file in sorted(files, key=lambda each: each.proto.name):
        out.append(f"file {file.proto.name}")
        for message in file.proto.message_type:
            golden_message(out, message, "  ")
        for enum in file.proto.enum_type:
            golden_enum(out, enum, "  ")
        for service in file.proto.service:
            out.append(f"  service {service.name}")
            for method in service.method:
                stream_in = "stream " if method.client_streaming else ""
                stream_out = "stream " if method.server_streaming else ""
                out.append(f"    rpc {method.name}({stream_in}{method.input_type})"
                           f" returns ({stream_out}{method.output_type})")
    return [line + "\n" for line in out]


def golden_message(out, message, indent):
    out.append(f"{indent}message {message.name}")
    for field in sorted(message.field, key=lambda each: each.number):
        kind = field.type_name or TYPE_NAMES[field.type]
        label = "repeated " if field.label == FIELD.LABEL_REPEATED else ""
        if field.proto3_optional:
            label = "optional "
        elif field.HasField("oneof_index"):
            label = f"oneof {message.oneof_decl[field.oneof_index].name} "
        out.append(f"{indent}  {field.number} {label}{kind} {field.name}")
    for span in message.reserved_range:
        out.append(f"{indent}  reserved {span.start}..{span.end - 1}")
    for nested in message.nested_type:
        golden_message(out, nested, indent + "  ")
    for enum in message.enum_type:
        golden_enum(out, enum, indent + "  ")


def golden_enum(out, enum, indent):
    out.append(f"{indent}enum {enum.name}")
    for value in enum.value:
        out.append(f"{indent}  {value.number} {value.name}")


def golden_faults(files, golden):
    now = golden_lines(files)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text("".join(now))
    before = golden.read_text().splitlines(keepends=True) if golden.exists() else []
    if now == before:
        return []
    print("".join(difflib.unified_diff(before, now, str(golden.name), "the proto files now")))
    return [f"{GOLDEN}:1: the API changed. If that is meant: UPDATE_GOLDEN=1, and look at the diff"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descriptor", required=True, help="descriptor set with source info")
    parser.add_argument("--golden", type=pathlib.Path, default=ROOT / GOLDEN)
    options = parser.parse_args()
    files = read_files(options.descriptor)
    rules = Rules(files)
    faults = rules.faults + golden_faults(files, options.golden)
    print("\n".join(faults))
    if rules.checked < 100:
        faults.append("too little in the descriptor: is it hvguard's?")
    print(f"proto rules: {rules.checked} checked, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
