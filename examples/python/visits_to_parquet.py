"""Writes all visits of a file into a Parquet file, through Arrow: nothing is converted by Python.

python visits_to_parquet.py VISITS PARQUET

The file of visits may be in use by another process meanwhile. Needs pyarrow.
"""

import sys

import pyarrow
import pyarrow.parquet

import samebytes


def main(visits: str, parquet: str) -> None:
    with samebytes.VisitManager(visits, max_visits=0, read_only=True) as manager:
        reader = pyarrow.RecordBatchReader.from_stream(manager)
    with pyarrow.parquet.ParquetWriter(parquet, reader.schema) as writer:
        rows = 0
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    print(f"{rows} visits")


try:
    main(*sys.argv[1:])
except (samebytes.SamebytesError, OSError) as error:
    sys.exit(f"visits_to_parquet.py: {sys.argv[1]}: {error}")
