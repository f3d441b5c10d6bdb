//go:build cgo

package samebytes

/*
#include <stdlib.h>

#include <samebytes/samebytes.h>

extern sb_status samebytesProviderReserve(uintptr_t context, size_t min_bytes, void *sink);
extern void samebytesProviderRelease(uintptr_t token);
extern void samebytesProviderRetire(uintptr_t context);

static sb_status provider_reserve(void *context, size_t min_bytes, void *sink) {
  return samebytesProviderReserve((uintptr_t)context, min_bytes, sink);
}
static void provider_release(void *context, void *token) {
  (void)context;
  samebytesProviderRelease((uintptr_t)token);
}
static void provider_retire(void *context) { samebytesProviderRetire((uintptr_t)context); }

static sb_status provider_open(uintptr_t context, sb_memory **memory) {
  const sb_memory_functions functions = {
      .struct_size = sizeof functions,
      .defer = true, // blocks are given back in calls from which Go must not be called
      .context = (void *)context,
      .reserve = provider_reserve,
      .release = provider_release,
      .retire = provider_retire,
  };
  return sb_memory_open_callback(&functions, memory);
}
*/
import "C"

import (
	"errors"
	"runtime/cgo"
	"unsafe"
)

// OpenMemoryCallback opens a provider that is written in Go.
//
//   - Ownership: the caller closes the Memory; provider is used until its Retire was called.
//   - Threads: any.
//   - Errors: ErrInvalidArgument when provider is nil; ErrNoMemory.
//   - Since: 1.0
func OpenMemoryCallback(provider Provider) (*Memory, error) {
	if provider == nil {
		return nil, refuse("OpenMemoryCallback", "provider is nil")
	}
	handle := cgo.NewHandle(provider)
	var memory *C.sb_memory
	if status := C.provider_open(C.uintptr_t(handle), &memory); status != 0 {
		handle.Delete()
		return nil, failure("OpenMemoryCallback", status)
	}
	return newMemory(memory), nil
}

func isNoMemory(err error) bool { return errors.Is(err, ErrNoMemory) }

func freeText(text *C.char) { C.free(unsafe.Pointer(text)) }
