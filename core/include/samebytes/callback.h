#ifndef SAMEBYTES_CALLBACK_H
#define SAMEBYTES_CALLBACK_H

#include <samebytes/memory.h>

SB_BEGIN_DECLS

/** # Callback: providers of memory written by you
 *
 *  A provider of three functions: one that gives blocks, one that takes them back, and one for the end. In C they are an
 *  sb_memory_functions; in Python `Memory.open_callback` takes functions, in Go `OpenMemoryCallback` a Provider.
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
 *  Memory belongs to the library from sb_sink_add to `release`, which is called once for each block, also for blocks that a failed
 *  `reserve` had added. Blocks that nobody asked for yet are kept for the next request. `retire` comes last, when no handle and no block is
 *  left. The functions never hear of copies of a block.
 *
 *  ## Threads and fork
 *  The functions are called on the thread that needs memory, or gives the last of a block back, with no lock held; several threads may be
 *  in them. With `defer`, which Python and Go use, `release` and `retire` are not called where a block is given back: they wait, in a list
 *  without a lock, until somebody reserves from such a provider, opens one, or calls sb_memory_drain.
 *
 *  ## Errors
 *  SB_NO_MEMORY of `reserve` stays what it is; everything else that it gets wrong is SB_PROVIDER: another status, fewer bytes than it was
 *  asked for. sb_memory_get_failure tells what the last one was.
 *
 *  ## Limits
 *  A block has 1 to SB_BLOCK_SIZE_MAX bytes. That blocks do not overlap is up to the provider: nobody can see it. */

/** The functions of a provider. */
typedef struct SB_NATIVE sb_memory_functions {
  uint32_t struct_size; /**< bytes; the caller sets it to sizeof(sb_memory_functions) */
  bool defer;           /**< `release` and `retire` wait, as the chapter on threads says */
  void *context;        /**< passed to each function */
  /** Adds blocks of `min_bytes` bytes in total, or more, by sb_sink_add. Returns SB_OK, SB_NO_MEMORY, or another status. */
  sb_status (*reserve)(void *context, size_t min_bytes, void *sink);
  /** Takes a block back, by the token that it was added with. */
  void (*release)(void *context, void *token);
  /** The end of the provider; may be NULL. */
  void (*retire)(void *context);
} sb_memory_functions;

/** Opens a provider of `functions`, which are copied.
 *
 *  Ownership: the caller closes `*memory`; `functions->context` is used until `retire` was called.      Threads: any.
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

/** Tells the last failure of a provider of functions, or of shared memory: for that, which call the system refused, with its errno as
 *  `system_error`. What wraps a provider tells the failure of the one inside.
 *
 *  Ownership: `error` is the caller's.      Threads: any.
 *  Errors: SB_NOT_FOUND when there was none; SB_UNSUPPORTED when it is another kind of provider.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_memory_get_failure(sb_memory *memory, SB_OUT sb_error *error);

/** Runs what waits to be released and retired, of all providers with `defer`.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_FUNCTION SB_CALLS_BACK void sb_memory_drain(void);

SB_END_DECLS

#endif
