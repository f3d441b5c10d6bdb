"""`make install`, and the ways by which a C or C++ program finds the library."""

from __future__ import annotations

from pathlib import Path

from tests.packaging.conftest import QUICK_START_OUTPUT, ROOT, make_install, run


def pkg_config(prefix: Path, *options: str) -> list[str]:
    return run("pkg-config", *options, "samebytes", PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")).split()


def test_a_program_finds_the_shared_library_by_pkg_config(installed: Path, c_program: Path) -> None:
    program = c_program.with_suffix("")
    run("gcc", "-Wall", "-Werror", c_program, *pkg_config(installed, "--cflags", "--libs"), "-o", program)
    assert run(program, LD_LIBRARY_PATH=str(installed / "lib")) == QUICK_START_OUTPUT


def test_a_program_links_the_static_library_by_pkg_config(installed: Path, c_program: Path) -> None:
    program = c_program.with_suffix("")
    run("gcc", "-static", c_program, *pkg_config(installed, "--static", "--cflags", "--libs"), "-o", program)
    assert run(program) == QUICK_START_OUTPUT


def test_pkg_config_knows_the_version_of_the_header(installed: Path, tmp_path: Path) -> None:
    source = tmp_path / "version.c"
    source.write_text(
        "#include <samebytes/samebytes.h>\n#include <stdio.h>\n"
        'int main(void) { printf("%d.%d.%d", SB_VERSION_MAJOR, SB_VERSION_MINOR, SB_VERSION_PATCH); }\n'
    )
    run("gcc", source, *pkg_config(installed, "--cflags"), "-o", tmp_path / "version")
    assert pkg_config(installed, "--modversion") == [run(tmp_path / "version")]


def cmake_build(folder: Path, lists: str, *options: str) -> Path:
    """Build quick_start.c, which lies in *folder*, by the CMakeLists.txt *lists*, and return the program."""
    (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.20)\nproject(user LANGUAGES C)\n{lists}")
    tools = ROOT / "build/venv/bin"
    run(
        tools / "cmake",
        "-S",
        folder,
        "-B",
        folder / "build",
        "-G",
        "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={tools}/ninja",
        *options,
    )
    run(tools / "cmake", "--build", folder / "build")
    return folder / "build/user"


def test_a_program_finds_both_libraries_by_cmake(installed: Path, c_program: Path) -> None:
    for target in "samebytes::samebytes", "samebytes::static":
        lists = (
            "find_package(samebytes 1.0 REQUIRED)\nadd_executable(user quick_start.c)\n"
            f"target_link_libraries(user PRIVATE {target})\n"
        )
        program = cmake_build(c_program.parent, lists, f"-DCMAKE_PREFIX_PATH={installed}")
        assert run(program) == QUICK_START_OUTPUT
        assert ("libsamebytes.so.1" in run("readelf", "-d", program)) == (target == "samebytes::samebytes")


def test_a_program_builds_the_core_as_a_part_of_its_own(c_program: Path) -> None:
    lists = (
        f"add_subdirectory({ROOT}/core samebytes)\nadd_executable(user quick_start.c)\n"
        "target_link_libraries(user PRIVATE samebytes::static)\n"
    )
    assert run(cmake_build(c_program.parent, lists)) == QUICK_START_OUTPUT


def test_cmake_refuses_another_major_version(installed: Path, c_program: Path) -> None:
    lists = (
        "find_package(samebytes 2.0 QUIET)\nif(samebytes_FOUND)\nmessage(FATAL_ERROR found)\nendif()\n"
        "add_executable(user quick_start.c)\n"
    )
    (c_program.parent / "quick_start.c").write_text("int main(void) { return 0; }\n")
    cmake_build(c_program.parent, lists, f"-DCMAKE_PREFIX_PATH={installed}")


def test_destdir_holds_the_tree_of_the_prefix(tmp_path: Path) -> None:
    make_install("PREFIX=/opt/samebytes", f"DESTDIR={tmp_path}")
    library = tmp_path / "opt/samebytes/lib"
    assert (library / "libsamebytes.so").resolve() == (library / "libsamebytes.so.1").resolve()
    headers = {p.name for p in (ROOT / "core/include/samebytes").glob("*.h")}
    assert {p.name for p in (tmp_path / "opt/samebytes/include/samebytes").iterdir()} == headers
    drop_ins = {p.name for p in (ROOT / "core/include").glob("*.h")}
    assert {p.name for p in (tmp_path / "opt/samebytes/include").iterdir()} == drop_ins | {"samebytes"}
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), f"{file} names the folder it was staged in"


def test_a_cpp_program_includes_every_header(installed: Path, tmp_path: Path) -> None:
    source = tmp_path / "user.cpp"
    headers = sorted(p.name for p in (installed / "include/samebytes").glob("*.h"))
    source.write_text(
        "".join(f"#include <samebytes/{name}>\n" for name in reversed(headers))
        + "int main() { return sb_version() >> 16 == SB_VERSION_MAJOR ? 0 : 1; }\n"
    )
    for standard in "c++11", "c++20":
        flags = pkg_config(installed, "--cflags", "--libs")
        run(
            "g++",
            f"-std={standard}",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            source,
            *flags,
            "-o",
            tmp_path / "user",
        )
        run(tmp_path / "user", LD_LIBRARY_PATH=str(installed / "lib"))


def test_every_header_stands_alone_in_c11(installed: Path, tmp_path: Path) -> None:
    for header in (installed / "include/samebytes").glob("*.h"):
        source = tmp_path / "user.c"
        source.write_text(f"#include <samebytes/{header.name}>\nint main(void) {{ return 0; }}\n")
        flags = pkg_config(installed, "--cflags")
        run("gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", source, *flags)
