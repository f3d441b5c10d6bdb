"""Installs what the library is compared with. A peer that cannot be installed ends the bench, and is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class PeerError(Exception):
    """A peer or tool that is not there and cannot be installed."""


def run(command: list[str], what: str, **more: object) -> str:
    """Return what *command* prints; a failure names *what* is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    except OSError as error:
        raise PeerError(f"{what}: {error}") from None
    if done.returncode != 0:
        raise PeerError(f"{what}: {' '.join(command)} failed\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def install_packages(packages: list[str]) -> None:
    """Install the Debian *packages* that are missing: as root; otherwise say which."""
    missing = [name for name in packages if not _has_package(name)]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PeerError(
            f"these Debian packages are missing: {' '.join(missing)}; install them, or run make bench as root"
        )
    print("installing by apt-get:", *missing, flush=True)
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-qq"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*apt, "update"], "apt-get update", env=environment)
    for name in missing:
        run([*apt, "-y", "--no-install-recommends", "install", name], f"peer {name}", env=environment)


def _has_package(name: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.startswith("ii")


def package_version(name: str) -> str:
    """Return the version of a Debian package, for the settings."""
    return run(["dpkg-query", "-W", "-f", "${Version}", name], name)


def shared_library(name: str, package: str) -> Path:
    """Return the path of lib*name*.so of *package*, for LD_PRELOAD."""
    path = Path(run([os.environ.get("CC", "gcc"), f"-print-file-name=lib{name}.so"], package).strip())
    if not path.is_absolute() or not path.exists():
        raise PeerError(f"peer {package}: lib{name}.so was not found")
    return path.resolve()


def python_requirements(wanted: str) -> list[str]:
    """Return the pinned requirements of the part *wanted*, or those of `all`."""
    pins = []
    for line in (HERE / "requirements.txt").read_text().splitlines():
        pin, _, comment = line.partition("#")
        parts = comment.partition(":")[0].replace(",", " ").split()
        if pin.strip() and wanted in parts:
            pins.append(pin.strip())
    return pins


def install_python(part: str) -> None:
    """Install the pinned Python packages of *part* into the environment that runs this."""
    from importlib.metadata import PackageNotFoundError, version

    for pin in python_requirements("all") + python_requirements(part):
        name, _, wanted = pin.partition("==")
        try:
            if version(name) == wanted:
                continue
        except PackageNotFoundError:
            pass
        print("installing by pip:", pin, flush=True)
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-input", pin], f"peer {name}")


def build_rust(target: Path) -> Path:
    """Build the Rust bench with the crates of Cargo.lock, and return the program."""
    if shutil.which("cargo") is None:
        raise PeerError("peers bytesbuf and bytes need cargo (https://rustup.rs)")
    manifest = HERE / "rust" / "Cargo.toml"
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--manifest-path",
        str(manifest),
        "--target-dir",
        str(target),
    ]
    run(command, "peers bytesbuf and bytes (crates.io)")
    return target / "release" / "bench"
