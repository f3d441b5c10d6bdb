/* Preloaded into a program, it records every call that changes files in the folder RECORD_FOLDER into the file RECORD_TO. A call that it
 * does not know how to record ends the program: a recording with holes would prove nothing. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "recording.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int target = -1;
static const char *folder;

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  folder = getenv("RECORD_FOLDER");
  const char *path = getenv("RECORD_TO");
  if (folder == NULL || path == NULL) return;
  target = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void die(const char *what) {
  fprintf(stderr, "recorder: %s cannot be recorded\n", what);
  _exit(99);
}

/* The path relative to the folder; NULL when it is not ours. */
static const char *ours(const char *path) {
  if (target < 0) return NULL;
  const size_t size = strlen(folder);
  if (strncmp(path, folder, size) != 0) return NULL;
  return path[size] == 0 ? "" : path[size] == '/' ? path + size + 1 : NULL;
}

static const char *path_of(int file, char *room) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, room, PATH_MAX - 1);
  if (size < 0) return NULL;
  room[size] = 0;
  return ours(room);
}

static const char *path_at(int parent, const char *name, char *room) {
  if (name[0] == '/')
    snprintf(room, PATH_MAX, "%s", name);
  else {
    char base[PATH_MAX];
    if (parent == AT_FDCWD) {
      if (getcwd(base, sizeof base) == NULL) return NULL;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", parent);
      const ssize_t size = readlink(link, base, sizeof base - 1);
      if (size < 0) return NULL;
      base[size] = 0;
    }
    if (snprintf(room, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) die("a long path");
  }
  return ours(room);
}

static void put(const void *data, size_t size) {
  if (size > 0 && REAL(write)(target, data, size) != (ssize_t)size) _exit(98);
}

static void record(uint32_t call, const char *path, const char *other, uint64_t offset, const void *data, size_t size) {
  const int before = errno;
  const recorded head = {call, (uint32_t)strlen(path), other == NULL ? 0 : (uint32_t)strlen(other), (uint32_t)size, offset};
  put(&head, sizeof head);
  put(path, head.path_size);
  if (other != NULL) put(other, head.other_size);
  put(data, size);
  errno = before;
}

#define LOCKED(type, call) \
  pthread_mutex_lock(&mutex); \
  const type result = (call)

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
  char room[PATH_MAX];
  LOCKED(ssize_t, REAL(pwrite)(file, data, size, offset));
  const char *path = result > 0 ? path_of(file, room) : NULL;
  if (path != NULL) record(CALL_WRITE, path, NULL, (uint64_t)offset, data, (size_t)result);
  pthread_mutex_unlock(&mutex);
  return result;
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) { return pwrite(file, data, size, offset); }

ssize_t write(int file, const void *data, size_t size) {
  char room[PATH_MAX];
  const off_t offset = lseek(file, 0, SEEK_CUR);
  LOCKED(ssize_t, REAL(write)(file, data, size));
  const char *path = result > 0 ? path_of(file, room) : NULL;
  if (path != NULL) record(CALL_WRITE, path, NULL, (uint64_t)offset, data, (size_t)result);
  pthread_mutex_unlock(&mutex);
  return result;
}

static void record_sync(int file) {
  char room[PATH_MAX];
  struct stat facts;
  const char *path = path_of(file, room);
  if (path != NULL && fstat(file, &facts) == 0) record(S_ISDIR(facts.st_mode) ? CALL_SYNC_FOLDER : CALL_SYNC, path, NULL, 0, NULL, 0);
}

int fsync(int file) {
  LOCKED(int, REAL(fsync)(file));
  if (result == 0) record_sync(file);
  pthread_mutex_unlock(&mutex);
  return result;
}

int fdatasync(int file) {
  LOCKED(int, REAL(fdatasync)(file));
  if (result == 0) record_sync(file);
  pthread_mutex_unlock(&mutex);
  return result;
}

int ftruncate(int file, off_t size) {
  char room[PATH_MAX];
  LOCKED(int, REAL(ftruncate)(file, size));
  const char *path = result == 0 ? path_of(file, room) : NULL;
  if (path != NULL) record(CALL_TRUNCATE, path, NULL, (uint64_t)size, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }

int renameat(int from, const char *a, int to, const char *b) {
  char room[PATH_MAX], other[PATH_MAX];
  const char *old = path_at(from, a, room), *new = path_at(to, b, other);
  LOCKED(int, REAL(renameat)(from, a, to, b));
  if (result == 0 && old != NULL && new != NULL) record(CALL_RENAME, old, new, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
/* The one call that the core makes by its number. Others, such as those of worker.c that go past the recorder, are not looked at. */
long syscall(long number, ...) {
  long given[6];
  char room[PATH_MAX], other[PATH_MAX];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) given[i] = va_arg(arguments, long);
  va_end(arguments);
  const bool renames = number == SYS_renameat2 && given[4] != 0, exchange = renames && given[4] == RENAME_EXCHANGE;
  const char *one = renames ? path_at((int)given[0], (const char *)given[1], room) : NULL;
  const char *two = renames ? path_at((int)given[2], (const char *)given[3], other) : NULL;
  if (one != NULL && !exchange && given[4] != RENAME_NOREPLACE) die("such a rename");
  LOCKED(long, REAL(syscall)(number, given[0], given[1], given[2], given[3], given[4], given[5]));
  if (result == 0 && one != NULL && two != NULL) record(exchange ? CALL_EXCHANGE : CALL_RENAME, one, two, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int rename(const char *a, const char *b) { return renameat(AT_FDCWD, a, AT_FDCWD, b); }

int linkat(int from, const char *a, int to, const char *b, int flags) {
  char room[PATH_MAX], other[PATH_MAX];
  const char *old = path_at(from, a, room), *new = path_at(to, b, other);
  LOCKED(int, REAL(linkat)(from, a, to, b, flags));
  if (result == 0 && old != NULL && new != NULL) record(CALL_LINK, old, new, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int link(const char *a, const char *b) { return linkat(AT_FDCWD, a, AT_FDCWD, b, 0); }

int unlinkat(int parent, const char *name, int flags) {
  char room[PATH_MAX];
  const char *path = path_at(parent, name, room);
  LOCKED(int, REAL(unlinkat)(parent, name, flags));
  if (result == 0 && path != NULL) record(CALL_UNLINK, path, NULL, 0, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int openat(int parent, const char *name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  const bool makes = (flags & O_CREAT) != 0, empties = (flags & O_TRUNC) != 0;
  char room[PATH_MAX];
  const char *path = path_at(parent, name, room);
  struct stat facts;
  const bool was = path != NULL && fstatat(parent, name, &facts, 0) == 0;
  LOCKED(int, REAL(openat)(parent, name, flags, mode));
  if (result >= 0 && path != NULL && ((flags & O_TMPFILE) == O_TMPFILE || (empties && !makes))) die("such an open");
  if (result >= 0 && path != NULL && makes) record(was ? CALL_OPEN : CALL_CREATE, path, NULL, was && empties, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}
int openat64(int parent, const char *name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return openat(parent, name, flags, mode);
}
int open(const char *name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return openat(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return openat(AT_FDCWD, name, flags, mode);
}

/* Calls that change files and that the core does not make. If it ever does, this has to learn them. */
#define REFUSE(name, result, parameters, file) \
  result name parameters { \
    char room[PATH_MAX]; \
    if (target >= 0 && path_of(file, room) != NULL) die(#name); \
    errno = ENOSYS; \
    return -1; \
  }
REFUSE(writev, ssize_t, (int file, const struct iovec *spans, int count), ((void)spans, (void)count, file))
REFUSE(pwritev, ssize_t, (int file, const struct iovec *spans, int count, off_t offset), ((void)spans, (void)count, (void)offset, file))
REFUSE(fallocate, int, (int file, int mode, off_t offset, off_t size), ((void)mode, (void)offset, (void)size, file))
REFUSE(posix_fallocate, int, (int file, off_t offset, off_t size), ((void)offset, (void)size, file))
