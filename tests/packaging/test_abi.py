"""Programs built against older or newer headers than the library's, and structures that are frozen."""

from __future__ import annotations

from pathlib import Path

from tests.packaging.conftest import ROOT, run


def test_no_structure_is_overrun_whatever_size_the_caller_knows(tmp_path: Path) -> None:
    # The core is compiled in, because AddressSanitizer sees only what it was compiled into.
    program = tmp_path / "abi_sizes"
    sources = [ROOT / "tests/packaging/abi_sizes.c", *(ROOT / "core/src").glob("*.c")]
    flags = [
        "-std=gnu11",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    run("gcc", *flags, f"-I{ROOT}/core/include", *sources, "-pthread", "-o", program)
    run(program, tmp_path / "visits")


# Sizes of the structures that are frozen for good: a change here breaks every program that was compiled before.
FROZEN = {
    "sb_error": 352,
    "sb_pool_class": 8,
    "sb_schema_field": 16,
    "sb_bytes": 16,
    "sb_value": 24,
    "sb_row": 16,
    "sb_client_pair": 16,
    "sb_column": 80,
    "sb_echo_request": 64,
    "sb_echo_response": 48,
    "sb_iovec": 16,
    "sb_foreign": 32,
    "sb_visit": 48,
    "sb_visit_user": 8,
}


def test_frozen_structures_keep_their_size(installed: Path, tmp_path: Path) -> None:
    source = tmp_path / "frozen.c"
    source.write_text(
        "#include <samebytes/samebytes.h>\n"
        + "".join(f'_Static_assert(sizeof({name}) == {size}, "{name} is frozen");\n' for name, size in FROZEN.items())
    )
    run("gcc", f"-I{installed}/include", "-fsyntax-only", source)


def test_every_structure_that_is_called_frozen_is_in_the_list() -> None:
    from bindings.generate import reader

    api = reader.read(ROOT)
    assert {struct.name for struct in api.structs if "Frozen" in struct.doc} == set(FROZEN)


def test_statuses_keep_their_numbers() -> None:
    from bindings.generate import reader

    names = [
        "OK",
        "NO_MEMORY",
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "NEED_MORE",
        "TOO_LARGE",
        "CORRUPT",
        "UNKNOWN_API_KEY",
        "NOT_FOUND",
        "BUSY",
        "LOCKED",
        "CLOSED",
        "IO",
        "UNSUPPORTED",
        "PROVIDER",
        "UNAVAILABLE",
        "TIMEOUT",
    ]
    statuses = {c.name: c.value for c in reader.read(ROOT).constants if c.group == "status"}
    assert statuses == {f"SB_{name}": number for number, name in enumerate(names)}
