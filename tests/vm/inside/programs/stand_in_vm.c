// Looks like a VM manager to hvguard and does the IO that it is told to: run under the name
// qemu-system-x86_64, with that program's options, which are ignored here. One command a line on
// stdin, each answered with "ok NUMBER" or "error NUMBER TEXT" once it is done; commands run at the
// same time, each in a thread of its own, and go on when stdin is closed.
//
//   read PATH BYTES COUNT PAUSE_MS    COUNT reads (0: without end) of BYTES with O_DIRECT, one
//                                     after the other from the beginning, again when at the end
//   write PATH BYTES COUNT PAUSE_MS   the same with writes
//   sync PATH BYTES COUNT PAUSE_MS    writes through the page cache, fsync after each
//   touch MEGABYTES                   memory that is written once and kept
//   churn MEGABYTES                   memory that is written again and again
//   threads COUNT                     that many threads that sleep
//
// It ends by SIGTERM or SIGKILL only, as a guest does that nobody shuts down.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kAlignment = 4096 };

struct command {
  int number;
  char verb[16];
  char path[512];
  long numbers[3];
};

static void say(const char* format, ...) {
  char line[600];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  line[length++] = '\n';
  // Nobody may be left to listen; the load goes on all the same.
  ssize_t ignored = write(STDOUT_FILENO, line, length);
  (void)ignored;
}

static void pause_ms(long ms) {
  if (ms > 0)
    usleep(ms * 1000);
}

// Returns 0, or the errno of the first failure.
static int do_io(const struct command* command) {
  bool is_read = strcmp(command->verb, "read") == 0;
  bool is_sync = strcmp(command->verb, "sync") == 0;
  size_t bytes = command->numbers[0];
  long count = command->numbers[1];
  int flags = (is_read ? O_RDONLY : O_WRONLY) | (is_sync ? O_CREAT : O_DIRECT) | O_CLOEXEC;
  int fd = open(command->path, flags, 0644);
  void* buffer = NULL;
  if (fd < 0 || posix_memalign(&buffer, kAlignment, bytes) != 0)
    return errno;
  memset(buffer, 0x5a, bytes);
  off_t offset = 0;
  for (long done = 0; count == 0 || done < count; ++done) {
    ssize_t moved = is_read ? pread(fd, buffer, bytes, offset) : pwrite(fd, buffer, bytes, offset);
    if (moved < 0 && errno == ENOSPC)
      moved = 0;
    if (moved < 0 || (is_sync && fsync(fd) != 0))
      return errno;
    if ((size_t)moved < bytes) {
      if (offset == 0)
        return ENOSPC;  // smaller than one piece
      offset = 0;
      --done;
      continue;
    }
    offset += moved;
    pause_ms(command->numbers[2]);
  }
  free(buffer);
  close(fd);
  return 0;
}

static int do_memory(const struct command* command) {
  bool again = strcmp(command->verb, "churn") == 0;
  size_t bytes = (size_t)atol(command->path) << 20;
  volatile char* memory = malloc(bytes);
  if (memory == NULL)
    return ENOMEM;
  do {
    for (size_t at = 0; at < bytes; at += kAlignment)
      memory[at] += 1;
  } while (again);
  return 0;
}

static void* sleeper(void* unused) {
  for (;;)
    pause();
  return unused;
}

static int do_threads(const struct command* command) {
  for (long left = atol(command->path); left > 0; --left) {
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, sleeper, NULL);
    if (failure != 0)
      return failure;
  }
  return 0;
}

static int do_command(const struct command* command) {
  if (strcmp(command->verb, "touch") == 0 || strcmp(command->verb, "churn") == 0)
    return do_memory(command);
  if (strcmp(command->verb, "threads") == 0)
    return do_threads(command);
  if (strcmp(command->verb, "read") == 0 || strcmp(command->verb, "write") == 0 ||
      strcmp(command->verb, "sync") == 0)
    return do_io(command);
  return EINVAL;
}

static void* worker(void* argument) {
  struct command* command = argument;
  prctl(PR_SET_NAME, "CPU 0/TCG");
  int failure = do_command(command);
  if (failure != 0)
    say("error %d %s: %s", command->number, command->verb, strerror(failure));
  else
    say("ok %d", command->number);
  free(command);
  return NULL;
}

int main(void) {
  char line[1024];
  int number = 0;
  say("ready");
  while (fgets(line, sizeof(line), stdin) != NULL) {
    struct command* command = calloc(1, sizeof(*command));
    pthread_t thread;
    command->number = ++number;
    int found = sscanf(line,
                       "%15s %511s %ld %ld %ld",
                       command->verb,
                       command->path,
                       &command->numbers[0],
                       &command->numbers[1],
                       &command->numbers[2]);
    if (found < 2 || pthread_create(&thread, NULL, worker, command) != 0)
      say("error %d not understood", number);
    else
      pthread_detach(thread);
  }
  for (;;)
    pause();
}
