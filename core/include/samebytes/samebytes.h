#ifndef SAMEBYTES_SAMEBYTES_H
#define SAMEBYTES_SAMEBYTES_H

/* Everything in one include. Each header is the manual of its part. */
#include <samebytes/buf.h>
#include <samebytes/builder.h>
#include <samebytes/callback.h>
#include <samebytes/column.h>
#include <samebytes/crc32c.h>
#include <samebytes/echo.h>
#include <samebytes/lender.h>
#include <samebytes/library.h>
#include <samebytes/memory.h>
#include <samebytes/parser.h>
#include <samebytes/pipeline.h>
#include <samebytes/pool.h>
#include <samebytes/schema.h>
#include <samebytes/schema_file.h>
#include <samebytes/shared.h>
#include <samebytes/status.h>
#include <samebytes/view.h>
#include <samebytes/visits.h>

/* These build on the others. */
#include <samebytes/arrow.h>
#include <samebytes/client.h>

#endif
