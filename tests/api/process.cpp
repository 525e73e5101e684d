#include "process.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "wait.h"

namespace hvguard::test {
namespace {

constexpr int kCannotStart = 126;

void redirect(const std::string& path, int to) {
  const char* const name = path.empty() ? "/dev/null" : path.c_str();
  const int fd = ::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0 || ::dup2(fd, to) < 0) {
    ::_exit(kCannotStart);
  }
}

void become(const ProcessSetup& setup) {
  if (setup.max_open_files) {
    const rlimit limit{*setup.max_open_files, *setup.max_open_files};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (setup.uid &&
      (::setgroups(0, nullptr) != 0 || ::setgid(*setup.uid) != 0 || ::setuid(*setup.uid) != 0)) {
    ::_exit(kCannotStart);
  }
}

std::uint64_t status_field(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) {
      std::string_view rest = std::string_view(line).substr(name.size());
      return parse_number<std::uint64_t>(next_word(rest)).value_or(0);
    }
  }
  return 0;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments,
                 const std::string& out_path,
                 const std::string& err_path,
                 const ProcessSetup& setup) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<std::string> environment = {"TZ=UTC", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  environment.insert(environment.end(), setup.environment.begin(), setup.environment.end());
  std::vector<char*> envp;
  for (std::string& entry : environment) {
    envp.push_back(entry.data());
  }
  envp.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    redirect(out_path, STDOUT_FILENO);
    redirect(err_path, STDERR_FILENO);
    become(setup);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(kCannotStart);
  }
}

Process::~Process() {
  if (running()) {
    signal(SIGKILL);
    (void)wait(std::chrono::seconds(10));
  }
}

void Process::signal(int number) const {
  if (pid_ > 0 && !exit_code_) {
    ::kill(pid_, number);
  }
}

std::optional<int> Process::wait(Nanoseconds within) {
  const bool ended = eventually(
      [this] {
        int status = 0;
        if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
          exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        return exit_code_.has_value();
      },
      std::chrono::duration_cast<std::chrono::milliseconds>(within));
  return ended ? exit_code_ : std::nullopt;
}

bool Process::running() {
  return pid_ > 0 && !wait(Nanoseconds(0));
}

std::uint64_t Process::resident_bytes() const {
  return status_field(pid_, "VmRSS:") * 1024;
}

std::uint64_t Process::thread_count() const {
  return status_field(pid_, "Threads:");
}

Nanoseconds Process::cpu_time() const {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid_, &clock) == 0) {
    ::clock_gettime(clock, &used);
  }
  return std::chrono::seconds(used.tv_sec) + Nanoseconds(used.tv_nsec);
}

std::string read_whole_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace hvguard::test
