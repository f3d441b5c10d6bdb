#ifndef SAMEBYTES_LENDER_H
#define SAMEBYTES_LENDER_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Lender: memory of somebody else as views
 *
 *  Memory that was not made by a provider (a file that is mapped, an object of another language, a buffer of the program) becomes a view
 *  without copying it. Whoever lends it must know when nobody shows it any more. C says a function that is called then:
 *
 *      static void unmap(void *context, void *data, size_t size) { (void)context; munmap(data, size); }
 *
 *      const sb_foreign mapped = {.data = data, .size = size, .release = unmap};
 *      sb_view *view = NULL;
 *      if (sb_view_open_foreign(&mapped, &view) != SB_OK) unmap(NULL, data, size);
 *
 *  A language with a collector of its own, or whose code must not run on any thread, uses an sb_lender instead: nothing is called, and it
 *  asks when it has time for it what has come back. View.open_foreign of Python and OpenViewForeign of Go do so.
 *
 *  ## Ownership
 *  The memory stays the lender's, must not move, change or go until it is back, and is back exactly once: after the last view of any of its
 *  bytes has been closed. A lender may be closed before its memory is back, but nobody is told then.
 *
 *  ## Threads and fork
 *  Views are closed, and so memory comes back, on any thread. A forked child has its own copy of everything, so it gets its own
 *  memory back.
 *
 *  ## Errors
 *  SB_NO_MEMORY; the memory has not been lent then, and nothing is released.
 *
 *  ## Limits
 *  Sizes are those of memory, above SB_BLOCK_SIZE_MAX as well. */

typedef struct sb_lender sb_lender;

/** Memory that a view shall show, and who is told when nobody shows it any more. Frozen. */
typedef struct SB_NATIVE sb_foreign {
  const void *data; /**< where it lies */
  size_t size;      /**< bytes; memory of 0 bytes is released at once */
  /** Called once, on the thread that closes the last view, and without any lock of the library. It may use the library. NULL: nobody
   *  is told, because the memory never goes. */
  void (*release)(void *context, void *data, size_t size);
  void *context; /**< for release */
} sb_foreign;

/** Makes a view of memory that is not the library's, without copying it.
 *
 *  Ownership: the caller closes `*view`; `foreign` is borrowed for the call, its memory until it is released.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when its data is NULL and its size is not 0, or the size is above PTRDIFF_MAX; SB_NO_MEMORY. It is not
 *  released then.
 *  Since: 1.0 */
SB_API SB_NATIVE SB_CONSTRUCTOR sb_status sb_view_open_foreign(SB_IN const sb_foreign *foreign, SB_OUT SB_OWNED sb_view **view);

/** Makes a lender to which nothing has been lent.
 *
 *  Ownership: the caller closes `*lender`.      Threads: any.
 *  Errors: SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_lender_open(SB_OUT SB_OWNED sb_lender **lender);

/** Makes a view of the `size` bytes at `data` without copying them. When nobody shows them any more, sb_lender_take tells `token`.
 *
 *  Ownership: the caller closes `*view`; the memory stays where it is and as it is until it is back.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `data` is NULL and `size` is not 0, or `size` is above PTRDIFF_MAX; SB_NO_MEMORY. It has not been lent
 *  then.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_lender_lend(sb_lender *lender, SB_IN SB_NULLABLE SB_BORROWED(forever) const void *data, size_t size,
                                          uint64_t token, SB_OUT SB_OWNED sb_view **view);

/** Tells the token of memory that is back. Each comes once, in no order.
 *
 *  Ownership: the memory is the lender's alone again.      Threads: any.
 *  Errors: SB_NOT_FOUND when none is back, or another thread takes at the same time.
 *  Since: 1.0 */
SB_API SB_METHOD sb_status sb_lender_take(sb_lender *lender, SB_OUT uint64_t *token);

/** Returns how many times sb_lender_lend has lent what sb_lender_take has not told yet.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_lender_lent(const sb_lender *lender);

/** Closes the lender. NULL is allowed. Views of its memory stay valid, but nobody is told any more when that is back.
 *
 *  Ownership: takes `lender`.      Threads: nobody may use `lender` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_lender_close(SB_TAKES SB_NULLABLE sb_lender *lender);

SB_END_DECLS

#endif
