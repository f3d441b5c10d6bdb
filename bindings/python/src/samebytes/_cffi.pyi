"""What CFFI builds from cffi_source.py."""

from typing import Any

ffi: Any
lib: Any
