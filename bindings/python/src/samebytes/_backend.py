"""Which function layer the classes call: SAMEBYTES_BACKEND=cffi (the default) or ctypes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

NAMES = ("cffi", "ctypes")
name = os.environ.get("SAMEBYTES_BACKEND") or "cffi"

if name not in NAMES:
    raise ImportError(f"SAMEBYTES_BACKEND is {name!r}; it must be one of: {', '.join(NAMES)}")
if TYPE_CHECKING or name == "cffi":
    from . import _layer_cffi as layer
else:
    from . import _layer_ctypes as layer

__all__ = ["layer", "name"]
