#ifndef SB_MEMORY_TRACING_H
#define SB_MEMORY_TRACING_H

#include <samebytes/memory.h>

/* The provider that the memory of `memory` comes from, behind all tracing ones. */
const sb_memory *sb_priv_memory_origin(const sb_memory *memory);

#endif
