#ifndef SAMEBYTES_CALLBACK_H
#define SAMEBYTES_CALLBACK_H

#include <samebytes/memory.h>

SB_BEGIN_DECLS

/** # Callback: providers of memory written by you
 *
 *  A provider made of three functions: one gives blocks, one takes them back, and one is called at the end. In C they are an
 *  sb_memory_functions; in Python `Memory.open_callback` takes functions; in Go `OpenMemoryCallback` takes a Provider.
 *
 *      static sb_status reserve(void *context, size_t min_bytes, void *sink) {
 *        void *data = arena_take(context, min_bytes);
 *        return data == NULL ? SB_NO_MEMORY : sb_sink_add(sink, data, min_bytes, data, 0, NULL);
 *      }
 *      static void release(void *context, void *token) { arena_give(context, token); }
 *      ...
 *      const sb_memory_functions functions = {.struct_size = sizeof functions, .context = arena, .reserve = reserve, .release = release};
 *      if (sb_memory_open_callback(&functions, &memory) != SB_OK) return 1;
 *
 *  ## Ownership
 *  Memory belongs to the library from sb_sink_add to `release`, which is called once for each block, including blocks that a failed
 *  `reserve` had added. Blocks beyond what was asked for are kept for the next request. `retire` comes last, when no handle and no block is
 *  left. The functions never see copies of a block.
 *
 *  ## Threads and fork
 *  The functions are called with no lock held, on the thread that needs memory or closes the last owner of a block; several threads may be
 *  in them at once. With `defer`, which Python and Go use, `release` and `retire` are not called where a block is given back: they wait in
 *  a lock-free list until somebody reserves from such a provider, opens one, or calls sb_memory_drain.
 *
 *  ## Errors
 *  SB_NO_MEMORY from `reserve` is passed on. Anything else that it gets wrong is SB_PROVIDER: another status, or fewer bytes than it was
 *  asked for. sb_memory_get_failure describes the last failure.
 *
 *  ## Limits
 *  A block has 1 to SB_BLOCK_SIZE_MAX bytes. The provider must make sure that blocks do not overlap; the library cannot check it. */

/** The functions of a provider. */
typedef struct SB_NATIVE sb_memory_functions {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_memory_functions) */
  bool defer;           /**< `release` and `retire` wait, as the chapter on threads says */
  void *context;        /**< passed to each function */
  /** Adds blocks of `min_bytes` bytes in total, or more, with sb_sink_add. Returns SB_OK, SB_NO_MEMORY, or another status. */
  sb_status (*reserve)(void *context, size_t min_bytes, void *sink);
  /** Takes a block back, by the token that it was added with. */
  void (*release)(void *context, void *token);
  /** The end of the provider; may be NULL. */
  void (*retire)(void *context);
} sb_memory_functions;

/** Opens a provider of `functions`, which are copied.
 *
 *  Ownership: the caller closes `*memory`; `functions->context` is used until `retire` has been called.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `reserve` or `release` is missing, or struct_size is too small; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_CONSTRUCTOR sb_status sb_memory_open_callback(SB_IN const sb_memory_functions *functions,
                                                                  SB_OUT SB_OWNED sb_memory **memory);

/** Adds a block to what `reserve` gives, with the metadata that its slices will have.
 *
 *  Ownership: on success `data` is the library's until `release` gets `token`.      Threads: the one that `reserve` was called on.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL or `size` is 0; SB_TOO_LARGE above SB_BLOCK_SIZE_MAX; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_FUNCTION sb_status sb_sink_add(SB_IN void *sink, SB_IN void *data, size_t size, SB_IN SB_NULLABLE void *token,
                                                   uint64_t key, SB_IN SB_NULLABLE SB_BORROWED(forever) const void *metadata);

/** Says why `reserve` is going to fail, for sb_memory_get_failure.
 *
 *  Ownership: `message` is copied.      Threads: the one that `reserve` was called on.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_NATIVE SB_FUNCTION void sb_sink_refuse(SB_IN void *sink, SB_IN const char *message);

/** Gets the last failure of a provider of functions or of shared memory: for the latter, which call the system refused, with its errno as
 *  `system_error`. A provider that wraps another gives the failure of the inner one.
 *
 *  Ownership: `error` is the caller's.      Threads: any.
 *  Errors: SB_NOT_FOUND when there was none; SB_UNSUPPORTED when it is another kind of provider.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_memory_get_failure(sb_memory *memory, SB_OUT sb_error *error);

/** Runs the pending releases and retirements of all providers with `defer`.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_FUNCTION SB_CALLS_BACK void sb_memory_drain(void);

SB_END_DECLS

#endif
