"""What is written by hand is not listed anywhere: the generator sees it, and leaves the name or the base to it."""

from __future__ import annotations

from pathlib import Path

from .conftest import generate

GO = "bindings/go"
PYTHON = "bindings/python/src/samebytes"


def written(tree: Path, name: str) -> str:
    run = generate(tree)
    assert run.returncode == 0, run.stderr
    return (tree / name).read_text(encoding="utf-8")


def add(tree: Path, name: str, text: str) -> None:
    with (tree / name).open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_function_or_method_with_a_face_in_go_is_not_exported(tree: Path) -> None:
    assert "\nfunc CRC32C(" in written(tree, f"{GO}/raw_crc32c.go")
    assert "\nfunc (p *Pool) GetStats(" in written(tree, f"{GO}/raw_pool.go")
    faces = """
func CRC32C(crc uint32, data []byte) uint32 {
	return cRC32C(crc, data)
}

func (p *Pool) GetStats() (PoolStats, error) {
	return p.getStats()
}
"""
    add(tree, f"{GO}/text.go", faces)
    after = written(tree, f"{GO}/raw_crc32c.go")
    assert "\nfunc cRC32C(" in after
    assert "\nfunc CRC32C(" not in after
    after = written(tree, f"{GO}/raw_pool.go")
    assert "\nfunc (p *Pool) getStats(" in after
    assert "\nfunc (p *Pool) GetStats(" not in after


def test_a_face_in_a_test_of_go_is_none(tree: Path) -> None:
    add(tree, f"{GO}/pool_test.go", "\nfunc CRC32C() {}\n")
    assert "\nfunc CRC32C(" in written(tree, f"{GO}/raw_crc32c.go")


def test_a_type_with_a_face_in_go_is_not_exported(tree: Path) -> None:
    add(tree, f"{GO}/pool.go", "\ntype PoolStats struct{}\n")
    assert "\ntype poolStats struct {" in written(tree, f"{GO}/raw_pool.go")


def test_a_state_in_go_is_part_of_the_object(tree: Path) -> None:
    add(tree, f"{GO}/pool.go", "\ntype pipelineState struct{}\n")
    assert "\ntype Pipeline struct {\n\thandle\n\tpipelineState\n}" in written(tree, f"{GO}/raw_pipeline.go")


def offered(classes: str) -> str:
    return classes.split("__all__ = [")[1]


def test_a_name_that_the_python_package_offers_itself_is_not_offered_twice(tree: Path) -> None:
    assert '    "crc32c",\n' in offered(written(tree, f"{PYTHON}/_classes.py"))
    add(tree, f"{PYTHON}/_times.py", "\n\ndef crc32c(crc: int, data: bytes) -> int:\n    return crc\n")
    add(tree, f"{PYTHON}/__init__.py", "\nfrom ._times import crc32c\n")
    assert '    "crc32c",\n' not in offered(written(tree, f"{PYTHON}/_classes.py"))


def test_a_class_without_attributes_in_python_is_small(tree: Path) -> None:
    small = "\n    if not TYPE_CHECKING:\n        __slots__ = ()\n"
    body = written(tree, f"{PYTHON}/_classes.py").split("\nclass Pipeline(Handle):\n")[1].split("\nclass ")[0]
    assert small not in body
    face = "\n\nfrom . import _classes\n\n\nclass Pipeline(_classes.Pipeline):\n    __slots__ = ()\n"
    add(tree, f"{PYTHON}/_times.py", face)
    body = written(tree, f"{PYTHON}/_classes.py").split("\nclass Pipeline(Handle):\n")[1].split("\nclass ")[0]
    assert small in body


def test_a_class_of_the_extension_is_the_base_of_its_class(tree: Path) -> None:
    add(tree, f"{PYTHON}/_objects.pyi", "\nclass Pipeline: ...\n")
    assert "\nclass Pipeline(_objects.Pipeline, Handle):\n" in written(tree, f"{PYTHON}/_classes.py")


def test_a_class_of_the_extension_that_a_class_by_hand_has_is_no_base(tree: Path) -> None:
    add(tree, f"{PYTHON}/_objects.pyi", "\nclass Pipeline: ...\n")
    face = "\n\nfrom . import _classes, _objects\n\n\nclass Pipeline(_objects.Pipeline, _classes.Pipeline): ...\n"
    add(tree, f"{PYTHON}/_times.py", face)
    assert "\nclass Pipeline(Handle):\n" in written(tree, f"{PYTHON}/_classes.py")
