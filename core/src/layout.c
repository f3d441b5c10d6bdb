//go:build !samebytes_shared

/* The layout of every public structure, and the value of every constant, as libclang read them from the headers when the files were generated:
 * here the compiler of the library, which knows nothing of that, must come to the same. So a change of a header that moves a field, or a
 * compiler that lays it out differently, does not compile; and what was generated anew is held against core/abi/1.0/layout.txt, which is what
 * released programs have compiled in (docs/abi.md). */

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>

#include <recent_visits.h>
#include <samebytes/samebytes.h>

#include "abi_layout.h"
