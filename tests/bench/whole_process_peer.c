// The peer of the whole-process bench: what a careful agent without eBPF does once a second to find
// blocked tasks. Reads /proc/PID/task/TID/status of every thread, relative to kept directories,
// with one buffer and no allocation of its own, and looks for state D. Ends by SIGTERM.

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static char buffer[8192];

static int is_number(const char* name) {
  return *name >= '0' && *name <= '9';
}

static int is_blocked(int task_directory, const char* tid) {
  char path[300];
  snprintf(path, sizeof(path), "%s/status", tid);
  int fd = openat(task_directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  ssize_t size = read(fd, buffer, sizeof(buffer) - 1);
  close(fd);
  if (size <= 0)
    return 0;
  buffer[size] = '\0';
  const char* state = strstr(buffer, "\nState:\t");
  return state != NULL && state[8] == 'D';
}

static long pass(DIR* proc, long* blocked) {
  long threads = 0;
  rewinddir(proc);
  for (struct dirent* process; (process = readdir(proc)) != NULL;) {
    if (!is_number(process->d_name))
      continue;
    char path[300];
    snprintf(path, sizeof(path), "%s/task", process->d_name);
    int fd = openat(dirfd(proc), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
      continue;
    DIR* tasks = fdopendir(fd);
    if (tasks == NULL) {
      close(fd);
      continue;
    }
    for (struct dirent* task; (task = readdir(tasks)) != NULL;) {
      if (!is_number(task->d_name))
        continue;
      ++threads;
      *blocked += is_blocked(fd, task->d_name);
    }
    closedir(tasks);
  }
  return threads;
}

int main(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  DIR* proc = opendir("/proc");
  if (proc == NULL)
    return 1;
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (;;) {
    long blocked = 0;
    long threads = pass(proc, &blocked);
    printf("threads %ld blocked %ld\n", threads, blocked);
    fflush(stdout);
    ++next.tv_sec;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
}
