"""load_schemas: the schemas of a file, by the names of their messages."""

from __future__ import annotations

import os

from . import _classes, _codec, _records
from ._errors import system_refused


def load_schemas(path: str | os.PathLike[str]) -> dict[str, _codec.Schema]:
    """Returns the schemas that the file at *path* describes, by the names of their messages and in their order.

    SchemaFile says what such a file looks like. Raises InvalidArgumentError (a ValueError) with file, line and reason when the text is
    wrong, TooLargeError when it is too long, NotFoundError (a FileNotFoundError) when there is no such file, and IoError, which is also the
    OSError that fits, when it cannot be read.
    """
    try:
        with open(path, "rb") as source:
            text = source.read(_records.SCHEMA_FILE_SIZE_MAX + 1)
    except OSError as error:
        raise system_refused(error, "reading the schema file", path) from error
    with _classes.SchemaFile(text, os.fsdecode(path)) as file:
        schemas = [file.get(index) for index in range(file.count())]
    return {schema.name(): schema for schema in schemas}
