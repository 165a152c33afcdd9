"""The contract keeps buf's STANDARD and COMMENTS rules, checked here over the compiled descriptor set.

Rules and their names: https://buf.build/docs/lint/rules. A rule takes the compiled files and yields one line
per violation. Every rule has a planted violation that it must find, so none can pass by checking nothing.
Third-party contracts (`THIRD_PARTY`) stay as their owners wrote them and are exempt by path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO_ROOT = Path(__file__).resolve().parents[2] / "proto"
THIRD_PARTY = ("inference/",)

Files = Sequence[FileDescriptorProto]
Rule = Callable[[Files], Iterator[str]]
RULES: dict[str, Rule] = {}

LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
PASCAL = re.compile(r"([A-Z][a-z0-9]*)+")


def rule(function: Rule) -> Rule:
    RULES[function.__name__.upper()] = function
    return function


def compile_contract(root: Path, names: Sequence[str], output: Path) -> list[FileDescriptorProto]:
    arguments = ["protoc", f"--proto_path={root}", "--include_source_info", f"--descriptor_set_out={output}"]
    assert protoc.main([*arguments, *names]) == 0
    return list(FileDescriptorSet.FromString(output.read_bytes()).file)


def own_files(root: Path) -> list[str]:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.proto"))
    return [name for name in names if not name.startswith(THIRD_PARTY)]


def messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    """Every message of the file, nested ones too, without the entries that protoc invents for maps."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        if not message.options.map_entry:
            yield message
        waiting.extend(message.nested_type)


def enums(file: FileDescriptorProto) -> Iterator[EnumDescriptorProto]:
    yield from file.enum_type
    for message in messages(file):
        yield from message.enum_type


def fields(files: Files) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for file in files:
        for message in messages(file):
            for field in message.field:
                yield f"{file.name}: {message.name}.{field.name}", field


def services(files: Files) -> Iterator[tuple[FileDescriptorProto, ServiceDescriptorProto]]:
    for file in files:
        for service in file.service:
            yield file, service


def methods(files: Files) -> Iterator[tuple[str, ServiceDescriptorProto, MethodDescriptorProto]]:
    for file, service in services(files):
        for method in service.method:
            yield f"{file.name}: {service.name}.{method.name}", service, method


def upper_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


def last_part(type_name: str) -> str:
    return type_name.rsplit(".", 1)[-1]


@rule
def package_defined(files: Files) -> Iterator[str]:
    yield from (f"{file.name}: no package" for file in files if not file.package)


@rule
def package_directory_match(files: Files) -> Iterator[str]:
    for file in files:
        if PurePosixPath(file.name).parent.as_posix() != file.package.replace(".", "/"):
            yield f"{file.name}: package {file.package} belongs in {file.package.replace('.', '/')}/"


@rule
def package_version_suffix(files: Files) -> Iterator[str]:
    for file in files:
        if not re.fullmatch(r"v[1-9]\d*((alpha|beta)[1-9]\d*)?", last_part(file.package)):
            yield f"{file.name}: package {file.package} does not end in a version"


@rule
def package_lower_snake_case(files: Files) -> Iterator[str]:
    for file in files:
        if not all(LOWER_SNAKE.fullmatch(part) for part in file.package.split(".")):
            yield f"{file.name}: package {file.package}"


@rule
def file_lower_snake_case(files: Files) -> Iterator[str]:
    yield from (file.name for file in files if not LOWER_SNAKE.fullmatch(PurePosixPath(file.name).stem))


@rule
def syntax_specified(files: Files) -> Iterator[str]:
    yield from (f"{file.name}: syntax is not proto3" for file in files if file.syntax != "proto3")


@rule
def import_no_public(files: Files) -> Iterator[str]:
    yield from (f"{file.name}: a public import" for file in files if file.public_dependency)


@rule
def import_used(files: Files) -> Iterator[str]:
    types = {f".{file.package}.{item.name}": file.name for file in files for item in file.message_type}
    types |= {f".{file.package}.{item.name}": file.name for file in files for item in file.enum_type}
    for file in files:
        used = {types.get(field.type_name) for message in messages(file) for field in message.field}
        for service in file.service:
            used |= {
                types.get(kind)
                for method in service.method
                for kind in (method.input_type, method.output_type)
            }
        yield from (f"{file.name}: {name} is imported and not used" for name in set(file.dependency) - used)


@rule
def message_pascal_case(files: Files) -> Iterator[str]:
    for file in files:
        yield from (f"{file.name}: {m.name}" for m in messages(file) if not PASCAL.fullmatch(m.name))


@rule
def field_lower_snake_case(files: Files) -> Iterator[str]:
    yield from (where for where, field in fields(files) if not LOWER_SNAKE.fullmatch(field.name))


@rule
def oneof_lower_snake_case(files: Files) -> Iterator[str]:
    for file in files:
        for message in messages(file):
            for oneof in message.oneof_decl:  # protoc writes `_name` for a proto3 optional field
                if not LOWER_SNAKE.fullmatch(oneof.name.removeprefix("_")):
                    yield f"{file.name}: {message.name}.{oneof.name}"


@rule
def enum_pascal_case(files: Files) -> Iterator[str]:
    for file in files:
        yield from (f"{file.name}: {enum.name}" for enum in enums(file) if not PASCAL.fullmatch(enum.name))


@rule
def enum_value_upper_snake_case(files: Files) -> Iterator[str]:
    for file in files:
        for enum in enums(file):
            yield from (f"{file.name}: {v.name}" for v in enum.value if not UPPER_SNAKE.fullmatch(v.name))


@rule
def enum_value_prefix(files: Files) -> Iterator[str]:
    for file in files:
        for enum in enums(file):
            prefix = upper_snake(enum.name) + "_"
            for value in enum.value:
                if not value.name.startswith(prefix):
                    yield f"{file.name}: {value.name} does not start with {prefix}"


@rule
def enum_zero_value_suffix(files: Files) -> Iterator[str]:
    for file in files:
        for enum in enums(file):
            if enum.value[0].number != 0 or not enum.value[0].name.endswith("_UNSPECIFIED"):
                yield f"{file.name}: {enum.name} does not begin with …_UNSPECIFIED = 0"


@rule
def enum_no_allow_alias(files: Files) -> Iterator[str]:
    for file in files:
        yield from (f"{file.name}: {enum.name}" for enum in enums(file) if enum.options.allow_alias)


@rule
def service_pascal_case(files: Files) -> Iterator[str]:
    yield from (f"{file.name}: {s.name}" for file, s in services(files) if not PASCAL.fullmatch(s.name))


@rule
def service_suffix(files: Files) -> Iterator[str]:
    yield from (f"{file.name}: {s.name}" for file, s in services(files) if not s.name.endswith("Service"))


@rule
def rpc_pascal_case(files: Files) -> Iterator[str]:
    yield from (where for where, _, method in methods(files) if not PASCAL.fullmatch(method.name))


@rule
def rpc_request_response_unique(files: Files) -> Iterator[str]:
    used = Counter(
        kind for _, _, method in methods(files) for kind in (method.input_type, method.output_type)
    )
    yield from (f"{kind} serves more than one rpc" for kind, times in used.items() if times > 1)


@rule
def rpc_request_standard_name(files: Files) -> Iterator[str]:
    for where, service, method in methods(files):
        allowed = {f"{method.name}Request", f"{service.name}{method.name}Request"}
        if last_part(method.input_type) not in allowed:
            yield f"{where} takes {last_part(method.input_type)}"


@rule
def rpc_response_standard_name(files: Files) -> Iterator[str]:
    for where, service, method in methods(files):
        allowed = {f"{method.name}Response", f"{service.name}{method.name}Response"}
        if last_part(method.output_type) not in allowed:
            yield f"{where} returns {last_part(method.output_type)}"


# Numbers of google.protobuf.FileDescriptorProto and its parts, as source locations spell their paths.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED_MESSAGE, NESTED_ENUM, ONEOF = 2, 3, 4, 8
VALUE, METHOD = 2, 2


def enum_paths(path: tuple[int, ...], enum: EnumDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, enum.name
    for index, value in enumerate(enum.value):
        yield (*path, VALUE, index), value.name


def message_paths(path: tuple[int, ...], message: DescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    if message.options.map_entry:
        return
    yield path, message.name
    for index, field in enumerate(message.field):
        yield (*path, FIELD, index), f"{message.name}.{field.name}"
    for index, oneof in enumerate(message.oneof_decl):
        if not oneof.name.startswith("_"):
            yield (*path, ONEOF, index), f"{message.name}.{oneof.name}"
    for index, nested in enumerate(message.nested_type):
        yield from message_paths((*path, NESTED_MESSAGE, index), nested)
    for index, enum in enumerate(message.enum_type):
        yield from enum_paths((*path, NESTED_ENUM, index), enum)


def commentable(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for index, message in enumerate(file.message_type):
        yield from message_paths((MESSAGE, index), message)
    for index, enum in enumerate(file.enum_type):
        yield from enum_paths((ENUM, index), enum)
    for index, service in enumerate(file.service):
        yield (SERVICE, index), service.name
        for number, method in enumerate(service.method):
            yield (SERVICE, index, METHOD, number), f"{service.name}.{method.name}"


@rule
def comments(files: Files) -> Iterator[str]:
    """COMMENT_MESSAGE, _FIELD, _ENUM, _ENUM_VALUE, _ONEOF, _RPC and _SERVICE in one."""
    for file in files:
        commented = {
            tuple(location.path)
            for location in file.source_code_info.location
            if location.leading_comments.strip()
        }
        for path, name in commentable(file):
            if path not in commented:
                yield f"{file.name}: {name} has no comment above it"


PLANTED: dict[str, tuple[str, str]] = {
    "PACKAGE_DEFINED": ("a.proto", 'syntax = "proto3";'),
    "PACKAGE_DIRECTORY_MATCH": ("a.proto", 'syntax = "proto3"; package x.v1;'),
    "PACKAGE_VERSION_SUFFIX": ("a.proto", 'syntax = "proto3"; package x;'),
    "PACKAGE_LOWER_SNAKE_CASE": ("a.proto", 'syntax = "proto3"; package xY.v1;'),
    "FILE_LOWER_SNAKE_CASE": ("aFile.proto", 'syntax = "proto3";'),
    "SYNTAX_SPECIFIED": ("a.proto", "message A {}"),
    "IMPORT_NO_PUBLIC": ("a.proto", 'syntax = "proto3"; import public "other.proto"; message A { B b = 1; }'),
    "IMPORT_USED": ("a.proto", 'syntax = "proto3"; import "other.proto";'),
    "MESSAGE_PASCAL_CASE": ("a.proto", 'syntax = "proto3"; message a_b {}'),
    "FIELD_LOWER_SNAKE_CASE": ("a.proto", 'syntax = "proto3"; message A { int32 openTime = 1; }'),
    "ONEOF_LOWER_SNAKE_CASE": ("a.proto", 'syntax = "proto3"; message A { oneof bC { int32 d = 1; } }'),
    "ENUM_PASCAL_CASE": ("a.proto", 'syntax = "proto3"; enum a_b { A_B_UNSPECIFIED = 0; }'),
    "ENUM_VALUE_UPPER_SNAKE_CASE": ("a.proto", 'syntax = "proto3"; enum A { a_x = 0; }'),
    "ENUM_VALUE_PREFIX": ("a.proto", 'syntax = "proto3"; enum BarFate { FATE_UNSPECIFIED = 0; }'),
    "ENUM_ZERO_VALUE_SUFFIX": ("a.proto", 'syntax = "proto3"; enum A { A_NONE = 0; }'),
    "ENUM_NO_ALLOW_ALIAS": (
        "a.proto",
        'syntax = "proto3"; enum A { option allow_alias = true; A_UNSPECIFIED = 0; A_X = 0; }',
    ),
    "SERVICE_PASCAL_CASE": ("a.proto", 'syntax = "proto3"; service a_Service {}'),
    "SERVICE_SUFFIX": ("a.proto", 'syntax = "proto3"; service Bars {}'),
    "RPC_PASCAL_CASE": ("a.proto", 'syntax = "proto3"; message A {} service S { rpc get(A) returns (A); }'),
    "RPC_REQUEST_RESPONSE_UNIQUE": (
        "a.proto",
        'syntax = "proto3"; message A {} service S { rpc G(A) returns (A); }',
    ),
    "RPC_REQUEST_STANDARD_NAME": (
        "a.proto",
        'syntax = "proto3"; message A {} message GResponse {} service S { rpc G(A) returns (GResponse); }',
    ),
    "RPC_RESPONSE_STANDARD_NAME": (
        "a.proto",
        'syntax = "proto3"; message GRequest {} message A {} service S { rpc G(GRequest) returns (A); }',
    ),
    "COMMENTS": ("a.proto", 'syntax = "proto3"; message A { int32 b = 1; }'),
}


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    return compile_contract(PROTO_ROOT, own_files(PROTO_ROOT), tmp_path_factory.mktemp("set") / "set.bin")


def test_the_whole_contract_is_checked(contract: list[FileDescriptorProto]) -> None:
    names = {file.name for file in contract}
    assert {
        f"candlewire/v1/{name}.proto" for name in ("bars", "scoring", "signals", "models", "outcomes")
    } <= names
    assert sum(1 for file in contract for _ in commentable(file)) > 200, "hardly anything is checked"
    assert {service.name for _, service in services(contract)} >= {"ScoringService", "BarService"}


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_contract_keeps_the_rule(contract: list[FileDescriptorProto], name: str) -> None:
    violations = list(RULES[name](contract))
    assert not violations, f"{name}:\n" + "\n".join(violations)


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_rule_finds_a_planted_violation(name: str, tmp_path: Path) -> None:
    file, source = PLANTED[name]
    (tmp_path / "other.proto").write_text('syntax = "proto3"; message B {}', encoding="utf-8")
    (tmp_path / file).write_text(source, encoding="utf-8")
    compiled = compile_contract(tmp_path, [file], tmp_path / "set.bin")
    assert list(RULES[name](compiled)), f"{name} does not see: {source}"


def test_third_party_contracts_are_exempt_by_path(tmp_path: Path) -> None:
    for name in ("inference/service.proto", "candlewire/v1/bars.proto"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert own_files(tmp_path) == ["candlewire/v1/bars.proto"]
