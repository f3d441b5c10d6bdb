#ifndef SB_SYSTEM_H
#define SB_SYSTEM_H

/* What the operating system gives to the file store: files, locks, randomness, clocks, fork. A port begins here and in system.c.
 *
 * Functions return 0 or an errno value. Reads and writes go on after short ones and interruptions. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t sb_priv_clock_ns(void);     /* since the Unix epoch */
int64_t sb_priv_monotonic_ns(void); /* only differences mean something */
int64_t sb_priv_coarse_ns(void);    /* the same to within some milliseconds, for a fraction of the time */
void sb_priv_sleep_ns(int64_t time_ns);
int sb_priv_random(void *data, size_t size);
/* A number of this start of the system; 0 where it cannot be known. */
uint64_t sb_priv_boot(void);
/* The same from the kernel's boot id; 0 for what is none, as a sandbox may show. */
uint64_t sb_priv_boot_number(const char *text, size_t size);

/* What an errno value means, for people. */
void sb_priv_problem_text(int problem, char *text, size_t size);

/* The path without symbolic links, which the caller frees; NULL where there is nothing at `path` yet. */
char *sb_priv_path_resolve(const char *path);
/* The path from the root on, which the caller frees, for who must find it again after the folder of the process has changed; NULL where it
 * cannot be known, or goes through the descriptors of a process, which change likewise. */
char *sb_priv_path_absolute(const char *path);
/* The folder that holds `path`, as a descriptor for the functions below, and the last component, which points into `path`. */
int sb_priv_folder_open(const char *path, int *folder, const char **name);
int sb_priv_folder_sync(int folder);

enum {
  SB_PRIV_READ,
  SB_PRIV_WRITE,
  SB_PRIV_CREATE,
  SB_PRIV_CREATE_SHARED
}; /* create: must not exist, mode 0600; shared: with the mode that the umask leaves of 0666 */
int sb_priv_file_open(int folder, const char *name, int how, int *file);
int sb_priv_file_duplicate(int file, int *copy);
void sb_priv_file_close(int file);
/* What a file is: its size, whether it is a regular one, which one it is, and how many names it has. */
typedef struct sb_priv_file_facts {
  uint64_t size, links;
  uint64_t device, inode;
  uint32_t mode, owner, group;
  bool regular;
} sb_priv_file_facts;
int sb_priv_file_look(int file, sb_priv_file_facts *facts);
int sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts);
/* The same of the name itself, where that is a symbolic link, and of a path. */
int sb_priv_name_look(int folder, const char *name, sb_priv_file_facts *facts);
int sb_priv_path_look(const char *path, sb_priv_file_facts *facts);
static inline bool sb_priv_file_same(const sb_priv_file_facts *one, const sb_priv_file_facts *other) {
  return one->inode == other->inode && one->device == other->device;
}
/* Whether the name itself is a symbolic link, wherever that leads. */
bool sb_priv_file_is_link(int folder, const char *name);
/* Whether the name is a mount of its own, as of a single file in a container: then no other file can take its place. */
bool sb_priv_file_is_mounted(int folder, const char *name);
/* `*got` is less than `size` only at the end of the file. */
int sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got);
int sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset);
int sb_priv_file_resize(int file, uint64_t size);
int sb_priv_file_sync(int file);
/* Asks the system to begin writing, so that a later sync waits less. A hint. */
void sb_priv_file_sync_begin(int file, uint64_t offset, uint64_t size);
/* Gives a file that takes another one's place, or is copied from it, that one's mode, and its owner and group where the system allows it. */
int sb_priv_file_make_like(int file, const sb_priv_file_facts *other);
int sb_priv_file_rename(int folder, const char *from, const char *to);
/* A rename in one step, whatever others do meanwhile; EINVAL where the system, or the file system, cannot. */
enum {
  SB_PRIV_NO_REPLACE = 1, /* EEXIST where something has the name `to` */
  SB_PRIV_EXCHANGE = 2    /* what had the name `to` gets the name `from` */
};
int sb_priv_file_move(int folder, const char *from, const char *to, int how);
int sb_priv_file_link(int folder, const char *from, const char *to);
int sb_priv_file_remove(int folder, const char *name);

/* Locks the file `name`, made where it does not exist, for one holder in all processes; EWOULDBLOCK when it has one. One that is made gets
 * owner and group of `guarded`, if that is not NULL. */
int sb_priv_lock_open(int folder, const char *name, const sb_priv_file_facts *guarded, int *lock);
/* Locks a file that is open for writing, by whatever name it was opened, for one holder in all processes; EWOULDBLOCK when it has one. It is
 * a lock on a byte far behind every file's end, so that no system keeps others from reading what the file holds. */
int sb_priv_file_lock(int file);
/* Whether somebody else holds that lock. */
int sb_priv_file_locked(int file, bool *locked);
/* Ends the locks and closes. Locks end at once, also while a child that was forked just now still has a copy of the descriptor; that is why
 * a child must close by sb_priv_file_close instead. They also end when the last copy is closed. */
void sb_priv_lock_close(int file);
/* Ends the locks, and does not close. */
void sb_priv_file_unlock(int file);
/* Whether the errno value says that the file system, or the system, has no locks of this kind. */
bool sb_priv_lock_missing(int problem);

/* Memory that other processes can map: an anonymous file that neither grows nor shrinks, mapped for writing. `*refused` names the step that the
 * result is about. */
int sb_priv_segment_create(size_t size, int *file, uint8_t **data, const char **refused);
/* What a descriptor from elsewhere is: whether it can be memory that does not shrink under a reader, and its size. */
typedef struct sb_priv_segment_facts {
  uint64_t size;
  bool memory; /* pages of anonymous memory, nothing that could fail when it is read, or make this process wait */
  bool sealed; /* against shrinking, growing and other seals */
} sb_priv_segment_facts;
int sb_priv_segment_look(int file, sb_priv_segment_facts *facts);
int sb_priv_segment_map(int file, size_t size, bool writable, uint8_t **data);
void sb_priv_segment_unmap(uint8_t *data, size_t size);

/* Unix sockets. Nothing here waits, and no signal is raised. A message is sent whole, or not at all: EAGAIN. `*got` is 0 at the end. */
enum {
  SB_PRIV_FILES_MAX = 32
}; /* descriptors in one message */
bool sb_priv_socket_fits(int socket);    /* a connected Unix stream socket */
void sb_priv_socket_prepare(int socket); /* undoes options that would bring more than bytes and descriptors */
int sb_priv_socket_send(int socket, const void *data, size_t size, const int *files, size_t file_count);
/* Receives bytes that bring no descriptors. Where they do, the descriptors are dropped, and the result is EBADMSG; the bytes count. */
int sb_priv_socket_receive(int socket, void *data, size_t size, size_t *got);
/* Receives bytes and all descriptors that they bring, up to the end of the message that brought them. Where this process cannot have them all,
 * everything stays in the socket, and the result says why: EMFILE, say. EMSGSIZE: more than SB_PRIV_FILES_MAX. */
int sb_priv_socket_receive_files(int socket, void *data, size_t size, size_t *got, int *files, size_t *file_count);
void sb_priv_socket_end(int socket);

/* A signal is a descriptor that polls as readable while it is set. A group polls as readable while one of its two members is. */
int sb_priv_signal_open(int *signal);
void sb_priv_signal_set(int signal);
void sb_priv_signal_clear(int signal);
int sb_priv_group_open(int first, int second, int *group);
/* Changes what the group waits for at one of the two. Who sleeps on the group notices. */
void sb_priv_group_watch(int group, int descriptor, bool to_read, bool to_write);
/* How many processors this process may run on. */
uint32_t sb_priv_processors(void);
/* Lets others run who wait for a processor: for who looks at something again and again. */
void sb_priv_processor_yield(void);
/* Waits until `first` can be read, or written, or `second`, if it is not -1, can be read; or until the time has passed, -1 being never. */
void sb_priv_descriptors_wait(int first, bool to_write, int second, int64_t timeout_ns);

/* No thread is cancelled (pthread_cancel) between these two: around what holds a lock, or has changed half of something, and could reach a
 * cancellation point. `hold` returns what `release` restores, so they may be nested. */
int sb_priv_cancel_hold(void);
void sb_priv_cancel_release(int before);
static inline void sb_priv_cancel_end(const int *before) { sb_priv_cancel_release(*before); }
/* The first line of a block in which the thread is not cancelled, because others need what it holds. */
#define SB_PRIV_UNCANCELLED const int uncancelled __attribute__((cleanup(sb_priv_cancel_end))) = sb_priv_cancel_hold()

/* Who wants to know of a fork. The list is locked while these run and whenever another thread may fork; whoever opens or exchanges
 * descriptors that a child must not keep holds the list meanwhile. `hold` and `release`, both or none, run before a fork, and after it in the
 * parent and in the child: between them lies a lock that the child needs too. Nobody may wait for the list while holding such a lock. */
typedef struct sb_priv_fork_entry {
  struct sb_priv_fork_entry *next, *before;
  void (*hold)(struct sb_priv_fork_entry *entry);     /* or NULL */
  void (*release)(struct sb_priv_fork_entry *entry);  /* or NULL */
  void (*in_child)(struct sb_priv_fork_entry *entry); /* or NULL */
} sb_priv_fork_entry;
void sb_priv_fork_hold(void); /* the thread is not cancelled before the release */
/* Which process this is, counted from 1 in those that forked one from the other; true of a process after its first sb_priv_fork_hold, or its
 * parent's. What a thread was in the middle of in another process is nobody's in this one. */
uint32_t sb_priv_fork_generation(void);
void sb_priv_fork_release(void);
void sb_priv_fork_add(sb_priv_fork_entry *entry);    /* the list is held */
void sb_priv_fork_remove(sb_priv_fork_entry *entry); /* the list is held */

/* Streams: connected sockets, of which nobody need know whether they block. EAGAIN: nothing could be moved now. */
int sb_priv_stream_check(int socket); /* EPROTOTYPE for a socket of another kind */
int sb_priv_stream_send(int socket, const void *data, size_t size, size_t *sent);
int sb_priv_stream_receive(int socket, void *data, size_t size, size_t *got); /* 0 bytes: the peer sends no more */
void sb_priv_stream_end(int socket);                                          /* nothing more is sent; again, it does nothing */
/* Waits until bytes can be received or, with `to_send`, sent; ETIMEDOUT when sb_priv_monotonic_ns is `until_ns`, INT64_MAX being never. */
int sb_priv_stream_wait(int socket, bool to_send, int64_t until_ns);

#endif
