//go:build !samebytes_shared

/* The one file that knows Linux: everything here is what a port to another system writes anew. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

#define NS_PER_S 1000000000

static int64_t clock_read(clockid_t which) {
  struct timespec now;
  (void)clock_gettime(which, &now);
  return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t sb_priv_clock_ns(void) { return clock_read(CLOCK_REALTIME); }
int64_t sb_priv_monotonic_ns(void) { return clock_read(CLOCK_MONOTONIC); }

int sb_priv_random(void *data, size_t size) {
  uint8_t *bytes = data;
  while (size > 0) {
    const ssize_t got = getrandom(bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return errno;
    bytes += got;
    size -= (size_t)got;
  }
  return 0;
}

void sb_priv_problem_text(int problem, char *text, size_t size) {
  char found[128] = "";
#if defined(__GLIBC__)
  const char *message = strerror_r(problem, found, sizeof found); /* GNU's, because of _GNU_SOURCE */
#else
  const char *message = strerror_r(problem, found, sizeof found) == 0 ? found : "unknown error";
#endif
  (void)snprintf(text, size, "%s (errno %d)", message, problem);
}

static pthread_once_t boot_once = PTHREAD_ONCE_INIT;
static uint64_t boot_number;

static void boot_read(void) {
  char text[64] = "";
  const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  const ssize_t size = read(file, text, sizeof text);
  (void)close(file);
  if (size < 36) return;
  uint64_t number = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (int i = 0; i < 36; i++) number = (number ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
  boot_number = number;
}

uint64_t sb_priv_boot(void) {
  (void)pthread_once(&boot_once, boot_read);
  return boot_number;
}

char *sb_priv_path_resolve(const char *path) { return realpath(path, NULL); }

int sb_priv_folder_open(const char *path, int *folder, const char **name) {
  const char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  char *parent = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (parent == NULL) return ENOMEM;
  *folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int problem = *folder < 0 ? errno : 0;
  free(parent);
  return problem;
}

int sb_priv_folder_sync(int folder) {
  while (fsync(folder) != 0) {
    /* Some file systems cannot sync a folder, and need not. */
    if (errno == EINVAL || errno == EROFS) return 0;
    if (errno != EINTR) return errno;
  }
  return 0;
}

int sb_priv_file_open(int folder, const char *name, int how, int *file) {
  static const int flags[] = {
      [SB_PRIV_READ] = O_RDONLY,
      [SB_PRIV_WRITE] = O_RDWR,
      [SB_PRIV_CREATE] = O_RDWR | O_CREAT | O_EXCL,
      [SB_PRIV_REPLACE] = O_RDWR | O_CREAT | O_TRUNC,
  };
  do {
    /* O_NONBLOCK: a pipe or device under this name must not make the open wait. It means nothing for a file. */
    *file = openat(folder, name, flags[how] | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
  } while (*file < 0 && errno == EINTR);
  return *file < 0 ? errno : 0;
}

int sb_priv_file_duplicate(int file, int *copy) {
  *copy = fcntl(file, F_DUPFD_CLOEXEC, 3);
  return *copy < 0 ? errno : 0;
}

void sb_priv_file_close(int file) {
  if (file >= 0) (void)close(file);
}

static void facts_fill(const struct stat *status, sb_priv_file_facts *facts) {
  facts->size = (uint64_t)status->st_size;
  facts->device = (uint64_t)status->st_dev;
  facts->inode = (uint64_t)status->st_ino;
  facts->mode = (uint32_t)status->st_mode & 07777u;
  facts->regular = S_ISREG(status->st_mode);
}

int sb_priv_file_look(int file, sb_priv_file_facts *facts) {
  struct stat status;
  if (fstat(file, &status) != 0) return errno;
  facts_fill(&status, facts);
  return 0;
}

int sb_priv_file_look_at(int folder, const char *name, sb_priv_file_facts *facts) {
  struct stat status;
  if (fstatat(folder, name, &status, 0) != 0) return errno;
  facts_fill(&status, facts);
  return 0;
}

int sb_priv_file_read(int file, void *data, size_t size, uint64_t offset, size_t *got) {
  uint8_t *bytes = data;
  *got = 0;
  while (*got < size) {
    const ssize_t count = pread(file, bytes + *got, size - *got, (off_t)(offset + *got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) break;
    *got += (size_t)count;
  }
  return 0;
}

int sb_priv_file_write(int file, const void *data, size_t size, uint64_t offset) {
  const uint8_t *bytes = data;
  while (size > 0) {
    const ssize_t count = pwrite(file, bytes, size, (off_t)offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return EIO;
    bytes += count;
    offset += (uint64_t)count;
    size -= (size_t)count;
  }
  return 0;
}

int sb_priv_file_resize(int file, uint64_t size) {
  while (ftruncate(file, (off_t)size) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

int sb_priv_file_sync(int file) {
  while (fdatasync(file) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

void sb_priv_file_sync_begin(int file, uint64_t offset, uint64_t size) {
  (void)sync_file_range(file, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

int sb_priv_file_set_mode(int file, uint32_t mode) { return fchmod(file, (mode_t)mode) != 0 ? errno : 0; }

int sb_priv_file_rename(int folder, const char *from, const char *to) { return renameat(folder, from, folder, to) != 0 ? errno : 0; }

int sb_priv_file_link(int folder, const char *from, const char *to) { return linkat(folder, from, folder, to, 0) != 0 ? errno : 0; }

void sb_priv_file_remove(int folder, const char *name) { (void)unlinkat(folder, name, 0); }

int sb_priv_lock_open(int folder, const char *name, int *lock) {
  int file;
  do {
    file = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0666);
  } while (file < 0 && errno == EINTR);
  if (file < 0) return errno;
  /* The lock belongs to the open file description, not to the process: two handles in one process exclude each other, too, and closing
   * some other descriptor of the file does not end it. */
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(file, F_OFD_SETLK, &whole) != 0) {
    const int problem = errno == EACCES || errno == EAGAIN ? EWOULDBLOCK : errno;
    (void)close(file);
    return problem;
  }
  *lock = file;
  return 0;
}

/* ---- fork ---- */

static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static sb_priv_fork_entry fork_list = {&fork_list, &fork_list, NULL};

static void list_lock(void) { (void)pthread_mutex_lock(&fork_mutex); }
static void list_unlock(void) { (void)pthread_mutex_unlock(&fork_mutex); }

static void fork_in_child(void) {
  for (sb_priv_fork_entry *entry = fork_list.next; entry != &fork_list; entry = entry->next) entry->in_child(entry);
  list_unlock();
}

static void fork_watch(void) { (void)pthread_atfork(list_lock, list_unlock, fork_in_child); }

void sb_priv_fork_hold(void) {
  (void)pthread_once(&fork_once, fork_watch);
  list_lock();
}

void sb_priv_fork_release(void) { list_unlock(); }

void sb_priv_fork_add(sb_priv_fork_entry *entry) {
  entry->next = fork_list.next;
  entry->before = &fork_list;
  fork_list.next->before = entry;
  fork_list.next = entry;
}

void sb_priv_fork_remove(sb_priv_fork_entry *entry) {
  entry->before->next = entry->next;
  entry->next->before = entry->before;
}
