"""`python -m bindings.generate`: writes everything that is generated from the headers, or with --check tells what is stale.

Both tell where the headers contradict a layout that was frozen for a release. --freeze is what freezes one, at a release.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import emit_abi, emit_cffi, emit_ctypes, emit_docs, emit_go, emit_python, emit_status, emit_stubs, layout, reader
from .model import Api

EMITTERS = (emit_abi, emit_status, emit_docs, emit_cffi, emit_ctypes, emit_python, emit_stubs, emit_go)


def generate(api: Api, root: Path) -> dict[str, str]:
    """The content of every generated file by its path."""
    files: dict[str, str] = {}
    for emitter in EMITTERS:
        files |= emitter.emit(api, root)
    return files


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bindings.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    parser.add_argument(
        "--freeze", action="store_true", help="freeze the present layout for the present version, and do nothing else"
    )
    parser.add_argument(
        "--unreleased", action="store_true", help="with --freeze: also where one is frozen, because nobody has it"
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the tree to work on")
    arguments = parser.parse_args()
    try:
        api = reader.read(arguments.root)
    except reader.HeaderError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.freeze:
        try:
            print(f"generate: froze {layout.freeze(api, arguments.root, arguments.unreleased)}")
        except FileExistsError as error:
            print(
                f"{error.filename} is frozen; with --unreleased it is written again, if nobody has that version",
                file=sys.stderr,
            )
            return 1
        return 0
    stale = False
    for name, content in generate(api, arguments.root).items():
        path = arguments.root / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        if arguments.check:
            print(f"check generated: {name} differs from what the headers say; run make generate")
            stale = True
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"generate: wrote {name}")
    broken = layout.check(api, arguments.root)
    for problem in broken:
        print(problem)
    if broken:
        print(
            "check layout: docs/abi.md says what may change; --freeze --unreleased is for a version that nobody has yet"
        )
    return 1 if stale or broken else 0


if __name__ == "__main__":
    sys.exit(main())
