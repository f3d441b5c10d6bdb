"""samebytes doctor: what is installed and loaded here, and whether it belongs together."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import click

from .. import _backend, _layer_cffi, _layer_ctypes, _library, _objects
from .._version import __version__
from . import _show, _status

MAPS = Path("/proc/self/maps")


def loaded_images(maps: str) -> list[str]:
    """The files of libsamebytes that are mapped into this process; two would be two pools."""
    found = re.findall(r"^\S+ \S+ \S+ \S+ \S+ +(/.*/libsamebytes[^/\n]*)$", maps, re.MULTILINE)
    return sorted(set(found))


def problems_of(facts: dict[str, str], images: list[str], instances: dict[str, int]) -> list[str]:
    """What does not belong together."""
    found = []
    if len(images) > 1:
        found.append(f"{len(images)} images of the library are loaded: {', '.join(images)}; one process must have one")
    if len(set(instances.values())) > 1:
        found.append("CFFI and ctypes call two images of the library, which share no memory")
    if Path(facts["library"]).parent == _library.PACKAGED.parent and facts["library digest"] != facts["package digest"]:
        found.append(
            "the library of this package was built from other headers than its modules; install samebytes again"
        )
    return found


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:
    """Tell versions, digests, back end and loaded library, and whether they belong together.

    The exit status is 1 when they do not.
    """
    facts = {
        "package": __version__,
        "library version": _library.text(_objects.version()),
        "built for": _library.text(_objects.BUILT_VERSION),
        "library digest": f"{_objects.abi_digest():016x}",
        "package digest": f"{_objects.BUILT_DIGEST:016x}",
        "back end": _backend.name,
        "library": _objects.library_path(),
        "instance": f"{_layer_cffi.sb_instance_id():016x}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        "platform": f"{platform.platform()}, {sys.byteorder}-endian",
    }
    images = loaded_images(MAPS.read_text(errors="surrogateescape"))
    instances = {"cffi": _layer_cffi.sb_instance_id(), "ctypes": _layer_ctypes.sb_instance_id()}
    found = problems_of(facts, images, instances)
    if as_json:
        names = {name.replace(" ", "_"): value for name, value in facts.items()}
        _show.json_line({**names, "images": images, "problems": found})
    else:
        _show.pairs(facts | {"images": ", ".join(images)})
        for problem in found:
            click.echo(f"problem: {problem}")
        if not found:
            click.echo("All parts belong together.")
    if found:
        click.get_current_context().exit(_status.DAMAGE)
