#ifndef SAMEBYTES_SHARED_H
#define SAMEBYTES_SHARED_H

#include <samebytes/view.h>

SB_BEGIN_DECLS

/** # Shared: memory that several processes see
 *
 *  sb_memory_open_shared opens a provider whose blocks lie in memory that can be given to other processes. An sb_channel passes them on:
 *  only the location of the bytes travels over a Unix socket, never the bytes.
 *
 *      sb_memory *memory = NULL;
 *      sb_channel *channel = NULL;
 *      sb_block *block = NULL;
 *      if (sb_memory_open_shared(0, 0, &memory) != SB_OK || sb_channel_open(socket, NULL, &channel, NULL) != SB_OK) return 1;
 *      if (sb_memory_get_block(memory, 1 << 20, &block) == SB_OK) {
 *        memset(sb_block_data(block), 7, 1 << 20);
 *        if (sb_channel_send_block(channel, block, 1 << 20, 0, -1, NULL) == SB_OK)  // the other process: sb_channel_receive_block
 *          (void)!sb_channel_wait_done(channel, -1, NULL);                          // it has closed its block
 *        sb_block_close(block);
 *      }
 *      sb_channel_close(channel);
 *      sb_memory_close(memory);
 *
 *  A view is sent to be read: from then on nobody writes to its bytes, in either process. A block is sent to be written: from then on both
 *  processes have it, and each sees at once what the other writes, as two threads do. What was written before sending is there when it is
 *  received; what the receiver wrote before closing its block is there when sb_channel_wait_done returns. In between, the two agree between
 *  themselves who writes when.
 *
 *  ## Ownership
 *  The sender's memory stays the sender's, pinned: it is not used for anything else until the receiver has closed everything it made from
 *  it, or the socket has ended, as it does when the receiver dies. The receiver owns what it received, and may keep it after it has closed
 *  the channel or an error has ended the channel; the socket then stays open until the last of it is closed. A sender that closes its
 *  channel while memory is pinned leaves that memory to the receiver, and never uses it again.
 *
 *  ## Threads and fork
 *  Every function except close may be called from any thread. Several threads may wait at one channel. A cancelled thread (pthread_cancel)
 *  ends only where it waits, and leaves nothing locked. After a fork the channels are the parent's: in the child every call is SB_CLOSED.
 *  Shared blocks that were out at the fork stay one memory for parent and child, which the child may read but must not count on; new blocks
 *  are the child's own.
 *
 *  ## Errors
 *  SB_UNAVAILABLE when the peer has ended the socket or its channel; SB_TIMEOUT. Whatever the peer says is checked before it is used:
 *  descriptor, seals, size, offset and length of memory, and numbers of pins. Anything wrong is SB_CORRUPT, with its name as `field`, and
 *  ends the channel. The bytes themselves are the peer's: check them like any input, and do not give memory to a process that may not see
 *  all of its segment (see sb_memory_open_shared).
 *
 *  When this process lacks a resource to receive what the peer sent, only that call fails: with SB_IO and the errno as `system_error`
 *  (EMFILE when it can have no more descriptors), or with SB_NO_MEMORY. Nothing is lost; a later call tries again.
 *
 *  ## Limits
 *  A view of at most SB_CHANNEL_SPANS_MAX spans, all in shared memory. A channel knows SB_CHANNEL_SEGMENTS_MAX segments at one time in each
 *  direction, and maps at most options.bytes_max of the peer's. Timeouts are in milliseconds: 0 does not wait, -1 waits forever.
 *
 *  Waking a process takes many times as long as an exchange. So sb_channel_next, sb_channel_receive_view, sb_channel_receive_block and
 *  sb_channel_wait_done poll for 50 us, yielding the processor, before they sleep. After 16 waits in a row in which polling was in vain,
 *  they no longer poll at every wait, and they never poll in a process that may run on one processor only. */

#define SB_CHANNEL_SPANS_MAX 16
#define SB_CHANNEL_SEGMENTS_MAX 64

typedef struct sb_channel sb_channel;

/** What arrives at a channel. */
enum {
  SB_ARRIVAL_VIEW = 1, /**< bytes to be read: sb_channel_receive_view */
  SB_ARRIVAL_BLOCK = 2 /**< a block to be written: sb_channel_receive_block */
};

/** How a channel works. 0 in every field is the default. */
typedef struct sb_channel_options {
  uint32_t struct_size; /**< bytes; sb_channel_options_init sets it */
  uint32_t pins_max;    /**< spans and blocks that may be pinned by the peer at one time; 0: 1024 */
  uint64_t bytes_max;   /**< bytes of the peer's segments that may be mapped at one time; 0: 4 GiB */
} sb_channel_options;

/** Opens a provider of memory that can be sent to other processes. Blocks lie in segments, each an anonymous file of its own (memfd),
 *  sealed against growing and shrinking. Whoever receives one block of a segment can read all of that segment and, if it may write the
 *  block, also write all of it: use one provider per group of peers that trust each other, or `segment_size` 1, which gives each block a
 *  segment of its own. A segment keeps a file descriptor open.
 *
 *  Ownership: the caller closes `*memory`.      Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `segment_size` is above 1 GiB, or `bytes_max` smaller than a segment; SB_NO_MEMORY. Segments are made
 *  when blocks are asked for, and only then may the system refuse them, with SB_IO; sb_memory_get_failure has the details.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_memory_open_shared(uint32_t segment_size /* bytes, rounded up to a power of two; 0: 2 MiB */,
                                                      uint64_t bytes_max /* of all segments; 0: no limit */,
                                                      SB_OUT SB_OWNED sb_memory **memory);

/** Fills `options` with the defaults, never writing past `struct_size` bytes.
 *
 *  Ownership: `options` is the caller's.      Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_INIT void sb_channel_options_init(SB_OUT sb_channel_options *options, size_t struct_size);

/** Makes one end of a channel from `socket`, a connected Unix stream socket whose other end becomes a channel too. Nothing else may use the
 *  socket from then on.
 *
 *  Ownership: the caller closes `*channel`, and keeps `socket`, which the channel duplicates and the caller may close at once.
 *  Threads: any.
 *  Errors: SB_INVALID_ARGUMENT when `socket` is not such a socket; SB_IO when there are too many descriptors; SB_NO_MEMORY.
 *  Since: 1.0 */
SB_API SB_CONSTRUCTOR sb_status sb_channel_open(int32_t socket, SB_IN SB_NULLABLE const sb_channel_options *options,
                                                SB_OUT SB_OWNED sb_channel **channel, SB_OUT SB_NULLABLE sb_error *error);

/** Sends `view` to be read by the peer, and pins its blocks. It waits while the peer has as many pins as it may have, or does not read the
 *  socket.
 *
 *  Ownership: `view` is borrowed for the call; its bytes are pinned.      Threads: any; one user of `view` at a time.
 *  Errors: SB_UNSUPPORTED when a span is not in memory of a shared provider of this process; SB_TOO_LARGE above SB_CHANNEL_SPANS_MAX spans;
 *  SB_OUT_OF_RANGE when it is empty; SB_TIMEOUT; SB_UNAVAILABLE; SB_CLOSED; SB_CORRUPT; SB_NO_MEMORY; SB_IO when the system refuses to
 *  send, or to receive what the peer says about the pins that are waited for. On failure nothing was sent.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_send_view(sb_channel *channel, const sb_view *view,
                                                            uint64_t tag /* the receiver gets it, too */, int64_t timeout_ms,
                                                            SB_OUT SB_NULLABLE sb_error *error);

/** Sends the first `size` bytes of `block` so that the peer can write to it too, and pins it. The caller keeps the block, and may read and
 *  write it. Otherwise as sb_channel_send_view.
 *
 *  Ownership: `block` stays the caller's, with the channel as another owner until the peer is done.      Threads: any.
 *  Errors: SB_BUSY when the block has other owners, such as a channel that has sent it; SB_OUT_OF_RANGE when `size` is 0 or larger than
 *  the block; otherwise as sb_channel_send_view.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_send_block(sb_channel *channel, SB_IN sb_block *block, size_t size, uint64_t tag,
                                                             int64_t timeout_ms, SB_OUT SB_NULLABLE sb_error *error);

/** Waits for what the peer sends next, and stores its kind, SB_ARRIVAL_..., and its tag. It stays queued until it is received.
 *
 *  Ownership: none.      Threads: any.
 *  Errors: SB_TIMEOUT; SB_UNAVAILABLE when the peer has ended the socket or its channel and everything sent before that was received;
 *  SB_CLOSED; SB_CORRUPT, and SB_TOO_LARGE at options.bytes_max: the channel has ended. SB_IO and SB_NO_MEMORY when this process has no
 *  descriptor or memory for what comes next, which stays queued for a later call.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_next(sb_channel *channel, int64_t timeout_ms, SB_OUT int32_t *kind, SB_OUT uint64_t *tag,
                                                       SB_OUT SB_NULLABLE sb_error *error);

/** Receives a view. Its memory is mapped for reading only, and its blocks have the metadata key that they had with the sender.
 *
 *  Ownership: the caller closes `*view`; the peer's pins end with the last share of its bytes.      Threads: any.
 *  Errors: SB_UNSUPPORTED when a block comes next; otherwise as sb_channel_next.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_receive_view(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_OWNED sb_view **view,
                                                               SB_OUT SB_NULLABLE sb_error *error);

/** Receives a block that both processes may write.
 *
 *  Ownership: the caller closes `*block`; the peer's pin ends with its last owner.      Threads: any.
 *  Errors: SB_UNSUPPORTED when a view comes next; otherwise as sb_channel_next.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_receive_block(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_OWNED sb_block **block,
                                                                SB_OUT SB_NULLABLE sb_error *error);

/** Checks what the peer is done with, and returns how many spans and blocks it still pins.
 *
 *  Ownership: blocks that the peer is done with, and nobody else owns, go back to their provider.      Threads: any.
 *  Errors: none; 0 in a forked child. After sb_channel_stop nothing more is read, and the number does not change.
 *  Since: 1.0 */
SB_API SB_METHOD size_t sb_channel_pin_count(sb_channel *channel);

/** Waits until the peer pins nothing any more. Everything from the peer is read in order, including that it is done. While 64 arrivals wait
 *  to be received, nothing more is read.
 *
 *  Ownership: as sb_channel_pin_count.      Threads: any.
 *  Errors: SB_TIMEOUT; SB_UNAVAILABLE when the peer ended the socket instead of saying that it is done; SB_CLOSED; SB_CORRUPT; SB_IO and
 *  SB_NO_MEMORY as for sb_channel_next. A channel that has ended still learns that the peer is done, unless the peer lied.
 *  Since: 1.0 */
SB_API SB_METHOD SB_BLOCKING sb_status sb_channel_wait_done(sb_channel *channel, int64_t timeout_ms, SB_OUT SB_NULLABLE sb_error *error);

/** Returns a file descriptor that polls as readable when a call may have something to receive or report, for event loops.
 *
 *  Ownership: the descriptor is the channel's; it is not read from.      Threads: any.
 *  Errors: none; -1 in a forked child.
 *  Since: 1.0 */
SB_API SB_METHOD int32_t sb_channel_descriptor(const sb_channel *channel);

/** Ends the channel while other threads use it: waiting calls return SB_CLOSED, as do all later ones. What was received stays.
 *
 *  Ownership: none; the peer sees the end of the socket when the channel and everything received from it are closed.
 *  Threads: any.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_METHOD void sb_channel_stop(sb_channel *channel);

/** Closes the channel. NULL is allowed. What was received stays valid; what was not received yet is lost. The peer notices: its sends fail
 *  from then on, and its pins stay until what was received is closed.
 *
 *  Ownership: takes `channel`.      Threads: nobody may use `channel` during or after the call.
 *  Errors: none.
 *  Since: 1.0 */
SB_API_VOID SB_DESTRUCTOR void sb_channel_close(SB_TAKES SB_NULLABLE sb_channel *channel);

SB_END_DECLS

#endif
