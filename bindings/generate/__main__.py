"""`python -m bindings.generate`: writes everything that is generated from the headers, or with --check tells what is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import emit_abi, emit_cffi, emit_ctypes, emit_docs, emit_go, emit_python, emit_status, emit_stubs, reader
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
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the tree to work on")
    arguments = parser.parse_args()
    try:
        api = reader.read(arguments.root)
    except reader.HeaderError as error:
        print(error, file=sys.stderr)
        return 1
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
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
