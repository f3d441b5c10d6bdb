"""samebytes: memory, bytes and framed messages that C, Python and Go share.

Classes are named after the handles of the C library, and their methods after its functions: sb_pool_get_stats is Pool.get_stats. They
are context managers; close() twice is safe, use after close raises ClosedError. samebytes.errors has one exception per status,
samebytes.echo the Echo messages. SAMEBYTES_BACKEND=ctypes calls the library through ctypes instead of CFFI.
"""

from __future__ import annotations

# First: it says clearly when the compiled parts cannot be loaded or do not fit.
from . import _library as _library

# isort: split
from . import _classes, _records, echo, errors
from ._bytes import Block, Buf, Pool, View
from ._channel import Channel
from ._classes import *  # noqa: F403
from ._codec import Batch, Builder, Message, Parser, Schema
from ._declared import array, int8, int16, int32, int64, message, schema_of, string
from ._foreign import release_foreign
from ._memory import Memory
from ._records import *  # noqa: F403
from ._schema_file import load_schemas
from ._version import __version__
from ._visits import Visit, VisitManager, VisitScan, salvage_visits, verify_visits
from .errors import *  # noqa: F403

__all__ = [
    "Batch",
    "Block",
    "Buf",
    "Builder",
    "Channel",
    "Memory",
    "Message",
    "Parser",
    "Pool",
    "Schema",
    "View",
    "Visit",
    "VisitManager",
    "VisitScan",
    "__version__",
    "array",
    "echo",
    "errors",
    "int8",
    "int16",
    "int32",
    "int64",
    "load_schemas",
    "message",
    "release_foreign",
    "salvage_visits",
    "schema_of",
    "string",
    "verify_visits",
]
__all__ += _classes.__all__
__all__ += _records.__all__
__all__ += errors.__all__
