#ifndef FAILING_CALLS_H
#define FAILING_CALLS_H

/* Lets the nth system call of the code under test fail. A test that includes this says in its first lines, in one line:
 * link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=pwrite,--wrap=pread,--wrap=fdatasync,--wrap=fsync,--wrap=ftruncate,... and
 * so on for every call that is wrapped below. It counts on any thread. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum fault {
  NO_FAULT,
  FAULT_ERROR,
  FAULT_SHORT,        /* reads and writes do a part; other calls are not touched */
  FAULT_PARTIAL_ERROR /* a write does a part, and what follows fails */
} fault;

/* Which calls count. */
enum {
  CALL_READ = 1,
  CALL_WRITE = 2,
  CALL_SYNC = 4,
  CALL_RESIZE = 8,
  CALL_OPEN = 16,
  CALL_NAME = 32,  /* rename, link, unlink */
  CALL_FACTS = 64, /* fstat, fstatat, fchmod, and a descriptor's duplicate */
  CALL_LOCK = 128,
  CALL_RANDOM = 256,
  CALL_THREAD = 512,
  CALL_ANY = 1023,
  CALL_INTERRUPTED = CALL_READ | CALL_WRITE | CALL_SYNC | CALL_RESIZE | CALL_OPEN | CALL_LOCK | CALL_RANDOM /* EINTR may come from these */
};

static atomic_long calls_until_fault; /* 0 or less: none fails */
static atomic_long calls_seen;
static atomic_int fault_kind, fault_errno, fault_calls = CALL_ANY;
static atomic_bool fault_stays;

static bool fault_now(int call) {
  if ((fault_calls & call) == 0) return false;
  atomic_fetch_add(&calls_seen, 1);
  if (atomic_load(&calls_until_fault) <= 0 || atomic_fetch_sub(&calls_until_fault, 1) != 1) return false;
  if (fault_stays) calls_until_fault = 1;
  return true;
}

static void arm_calls(fault kind, int problem, long call, bool stays, int calls) {
  fault_kind = (int)kind;
  fault_errno = problem;
  fault_stays = stays;
  fault_calls = calls;
  calls_seen = 0;
  calls_until_fault = call;
}

static void disarm(void) {
  calls_until_fault = 0;
  fault_calls = CALL_ANY;
}

ssize_t __real_pwrite(int file, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int file, const void *data, size_t size, off_t offset) {
  if (!fault_now(CALL_WRITE)) return __real_pwrite(file, data, size, offset);
  if (fault_kind == FAULT_SHORT) return __real_pwrite(file, data, size / 2 > 0 ? size / 2 : 1, offset);
  if (fault_kind == FAULT_PARTIAL_ERROR && size > 1) {
    calls_until_fault = 1; /* the rest fails */
    fault_kind = FAULT_ERROR;
    return __real_pwrite(file, data, size - 1, offset);
  }
  errno = fault_errno;
  return -1;
}

/* After so many reads something else happens: what is read next is newer than what was read before. */
static long reads_until_meanwhile;
static void (*meanwhile)(void);

ssize_t __real_pread(int file, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int file, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int file, void *data, size_t size, off_t offset) {
  if (reads_until_meanwhile > 0 && --reads_until_meanwhile == 0) {
    const ssize_t got = __real_pread(file, data, size, offset);
    meanwhile();
    return got;
  }
  if (!fault_now(CALL_READ)) return __real_pread(file, data, size, offset);
  if (fault_kind == FAULT_SHORT) return __real_pread(file, data, size / 2 > 0 ? size / 2 : 1, offset);
  errno = fault_errno;
  return -1;
}

#define WRAP_CALL(type, name, call, parameters, arguments) \
  type __real_##name parameters; \
  type __wrap_##name parameters; \
  type __wrap_##name parameters { \
    if (!fault_now(call) || fault_kind == FAULT_SHORT) return __real_##name arguments; \
    errno = fault_errno; \
    return -1; \
  }
WRAP_CALL(int, fdatasync, CALL_SYNC, (int file), (file))
WRAP_CALL(int, fsync, CALL_SYNC, (int file), (file))
WRAP_CALL(int, ftruncate, CALL_RESIZE, (int file, off_t size), (file, size))
WRAP_CALL(int, renameat, CALL_NAME, (int from, const char *a, int to, const char *b), (from, a, to, b))
WRAP_CALL(int, linkat, CALL_NAME, (int from, const char *a, int to, const char *b, int flags), (from, a, to, b, flags))
WRAP_CALL(int, unlinkat, CALL_NAME, (int folder, const char *name, int flags), (folder, name, flags))
WRAP_CALL(int, fstat, CALL_FACTS, (int file, struct stat *facts), (file, facts))
WRAP_CALL(int, fstatat, CALL_FACTS, (int folder, const char *name, struct stat *facts, int flags), (folder, name, facts, flags))
WRAP_CALL(int, fchmod, CALL_FACTS, (int file, mode_t mode), (file, mode))
WRAP_CALL(ssize_t, getrandom, CALL_RANDOM, (void *data, size_t size, unsigned flags), (data, size, flags))

int __real_sb_priv_file_move(int folder, const char *from, const char *to, int how);
int __wrap_sb_priv_file_move(int folder, const char *from, const char *to, int how);
int __wrap_sb_priv_file_move(int folder, const char *from, const char *to, int how) { /* which calls the system by number */
  if (!fault_now(CALL_NAME) || fault_kind == FAULT_SHORT) return __real_sb_priv_file_move(folder, from, to, how);
  return fault_errno;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) { /* the core makes nothing by it */
  if (!fault_now(CALL_OPEN) || fault_kind == FAULT_SHORT) return __real_open(path, flags);
  errno = fault_errno;
  return -1;
}

int __real_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (!fault_now(CALL_OPEN) || fault_kind == FAULT_SHORT) return __real_openat(folder, name, flags, mode);
  errno = fault_errno;
  return -1;
}

int __real_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...);
int __wrap_fcntl(int file, int command, ...) { /* the core locks and duplicates by it */
  const bool locks = command == F_OFD_SETLK || command == F_OFD_GETLK;
  struct flock *lock = NULL;
  int least = 0;
  va_list more;
  va_start(more, command);
  if (locks)
    lock = va_arg(more, struct flock *);
  else
    least = va_arg(more, int);
  va_end(more);
  if (fault_now(locks ? CALL_LOCK : CALL_FACTS) && fault_kind != FAULT_SHORT) {
    errno = fault_errno;
    return -1;
  }
  return locks ? __real_fcntl(file, command, lock) : __real_fcntl(file, command, least);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context) {
  if (!fault_now(CALL_THREAD) || fault_kind == FAULT_SHORT) return __real_pthread_create(thread, attributes, run, context);
  return fault_errno;
}

#endif
