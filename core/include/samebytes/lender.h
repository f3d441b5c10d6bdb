#ifndef SAMEBYTES_LENDER_H
#define SAMEBYTES_LENDER_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Lender: somebody else's memory as views
 *
 *  Memory that did not come from a provider (a mapped file, an object of another language, a buffer of the program) becomes a view without
 *  a copy. The lender must learn when no view shows it any more. C passes a function to be called then:
 *
 *      static void unmap(void *context, void *data, size_t size) { (void)context; munmap(data, size); }
 *
 *      const sb_foreign mapped = {.data = data, .size = size, .release = unmap};
 *      sb_view *view = NULL;
 *      if (sb_view_open_foreign(&mapped, &view) != SB_OK) unmap(NULL, data, size);
 *
 *  A language with a garbage collector, or whose code must not run on arbitrary threads, uses an sb_lender instead: nothing is called, and
 *  it asks at a convenient time what has come back. View.open_foreign in Python and OpenViewForeign in Go work this way.
 *
 *  ## Ownership
 *  The memory stays the lender's. It must not move, change or be freed until it is back, and it comes back exactly once: after the last
 *  view of any of its bytes has been closed. A lender may be closed before its memory is back, but then nobody learns when that happens.
 *
 *  ## Threads and fork
 *  Views are closed, and so memory comes back, on any thread. A forked child has its own copy of everything, so it gets its own
 *  memory back.
 *
 *  ## Errors
 *  SB_NO_MEMORY; then the memory has not been lent, and nothing is released.
 *
 *  ## Limits
 *  Sizes are those of memory, and may exceed SB_BLOCK_SIZE_MAX. */

typedef struct sb_lender sb_lender;

/** Memory for a view to show, and the function to call when no view shows it any more. Frozen. */
typedef struct SB_NATIVE sb_foreign {
  const void *data; /**< where it lies */
  size_t size;      /**< bytes; memory of 0 bytes is released at once */
  /** Called once, on the thread that closes the last view, and without any lock of the library. It may use the library. NULL: nothing is
   *  called, because the memory is never freed. */
  void (*release)(void *context, void *data, size_t size);
  void *context; /**< for release */
} sb_foreign;

/** Makes a view of memory that is not the library's, without copying it.
 *
 *  Ownership: the caller closes `*view`; `foreign` is borrowed for the call, its memory until it is released.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when its data is NULL and its size is not 0, or the size is above PTRDIFF_MAX; SB_NO_MEMORY. Then it is not
 *  released.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_CONSTRUCTOR sb_status sb_view_open_foreign(SB_IN const sb_foreign *foreign, SB_OUT SB_OWNED sb_view **view);

/** Makes a lender to which nothing has been lent.
 *
 *  Ownership: the caller closes `*lender`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_lender_open(SB_OUT SB_OWNED sb_lender **lender);

/** Makes a view of the `size` bytes at `data` without copying them. When no view shows them any more, sb_lender_take returns `token`.
 *
 *  Ownership: the caller closes `*view`; the memory must not move or change until it is back.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL and `size` is not 0, or `size` is above PTRDIFF_MAX; SB_NO_MEMORY. Then it has not been
 *  lent.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_lender_lend(sb_lender *lender, SB_IN SB_NULLABLE SB_BORROWED(forever) const void *data, size_t size,
                                          uint64_t token, SB_OUT SB_OWNED sb_view **view);

/** Gets the token of memory that is back. Each is returned once, in no particular order.
 *
 *  Ownership: the memory is the lender's alone again.      Threads: any.
 *  Errors: SB_NOT_FOUND when none is back, or another thread takes at the same time.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_lender_take(sb_lender *lender, SB_OUT uint64_t *token);

/** Returns how many calls of sb_lender_lend have lent memory that sb_lender_take has not returned yet.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_lender_lent(const sb_lender *lender);

/** Closes the lender. NULL is allowed. Views of its memory stay valid, but nobody learns any more when that is back.
 *
 *  Ownership: takes `lender`.      Threads: nobody may use `lender` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_lender_close(SB_TAKES SB_NULLABLE sb_lender *lender);

SB_END_DECLS

#endif
