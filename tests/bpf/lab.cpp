#include "lab.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

namespace hvguard::lab {
namespace {

// The laboratory itself is broken: no test result could be trusted.
void require(bool condition, const std::string& what) {
  if (!condition) {
    fmt::print(stderr, "lab: {}: {}\n", what, std::strerror(errno));
    std::exit(3);
  }
}

void enter_own_mount_namespace() {
  static const bool entered = [] {
    require(::unshare(CLONE_NEWNS) == 0, "unshare the mount namespace (root?)");
    require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
            "make mounts private");
    return true;
  }();
  static_cast<void>(entered);
}

pid_t fork_bound_to_us() {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
      ::_exit(1);
    }
  }
  return child;
}

void run(const std::string& command) {
  require(std::system(command.c_str()) == 0, command);  // NOLINT(cert-env33-c): a test's own words
}

}  // namespace

Directory::Directory(const std::string& size) {
  enter_own_mount_namespace();
  std::array<char, 32> name{"/tmp/hvguard-lab-XXXXXX"};
  require(::mkdtemp(name.data()) != nullptr, "mkdtemp");
  path_ = name.data();
  require(::mount("lab", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0,
          "mount a tmpfs");
}

Directory::~Directory() {
  ::umount2(path_.c_str(), MNT_DETACH);
  ::rmdir(path_.c_str());
}

std::string make_file(const std::string& path, std::uint64_t size) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  require(fd.valid() && ::ftruncate(fd.get(), static_cast<off_t>(size)) == 0, "make " + path);
  return path;
}

std::string make_ext4_image(const std::string& path, std::uint64_t size) {
  make_file(path, size);
  run("mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 " + path);
  return path;
}

LoopDevice::LoopDevice(const std::string& backing_file) {
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  require(control.valid(), "open /dev/loop-control");
  const UniqueFd backing(::open(backing_file.c_str(), O_RDWR | O_CLOEXEC));
  require(backing.valid(), "open " + backing_file);
  loop_config config{};
  config.fd = static_cast<__u32>(backing.get());
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  for (int attempt = 0; attempt < 50; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    require(number >= 0, "get a free loop device");
    path_ = fmt::format("/dev/loop{}", number);
    if (::access(path_.c_str(), F_OK) != 0) {
      ::mknod(path_.c_str(), S_IFBLK | 0600, ::makedev(7, static_cast<unsigned>(number)));
    }
    fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    require(fd_.valid(), "open " + path_);
    if (::ioctl(fd_.get(), LOOP_CONFIGURE, &config) == 0) {
      struct stat status{};
      require(::fstat(fd_.get(), &status) == 0, "stat " + path_);
      id_ = {major(status.st_rdev), minor(status.st_rdev)};
      return;
    }
    require(errno == EBUSY, "configure " + path_);  // somebody else was faster
  }
  require(false, "configure a loop device");
}

void LoopDevice::set_scheduler(const std::string& scheduler) const {
  std::ofstream file(fmt::format("/sys/block/{}/queue/scheduler", name()));
  file << scheduler << std::flush;
  require(file.good(), "set the scheduler of " + path_);
}

Mount::Mount(const std::string& device, const std::string& directory) : path_(directory) {
  enter_own_mount_namespace();
  ::mkdir(path_.c_str(), 0700);
  require(::mount(device.c_str(), path_.c_str(), "ext4", 0, nullptr) == 0, "mount " + device);
}

Mount::~Mount() {
  ::umount2(path_.c_str(), MNT_DETACH);
}

Freeze::Freeze(const std::string& mount_point)
    : fd_(::open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  require(fd_.valid(), "open " + mount_point);
  const auto self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  require(self >= 0, "pidfd_open");
  watcher_ = ::fork();
  require(watcher_ >= 0, "fork");
  if (watcher_ == 0) {
    ::setsid();  // not reached by a signal to the test's process group
    pollfd wait{.fd = self, .events = POLLIN, .revents = 0};
    while (::poll(&wait, 1, -1) < 0) {
    }
    ::ioctl(fd_.get(), FITHAW, 0);
    ::_exit(0);
  }
  ::close(self);
  require(::ioctl(fd_.get(), FIFREEZE, 0) == 0, "freeze " + mount_point);
}

void Freeze::thaw() {
  if (watcher_ < 0) {
    return;
  }
  require(::ioctl(fd_.get(), FITHAW, 0) == 0, "thaw");
  ::kill(watcher_, SIGKILL);
  ::waitpid(watcher_, nullptr, 0);
  watcher_ = -1;
}

Process::Process(const std::function<void()>& body) : pid_(fork_bound_to_us()) {
  if (pid_ == 0) {
    body();
    ::_exit(0);
  }
}

int Process::wait(std::chrono::milliseconds deadline) {
  int status = -1;
  const bool ended = wait_for([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, deadline);
  if (!ended) {
    return -1;
  }
  pid_ = -1;
  return status;
}

void Process::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    // One that is stuck in D ends when its file system is thawed: destroy the Freeze first.
    wait(std::chrono::seconds(10));
    pid_ = -1;
  }
}

SharedMemory::SharedMemory() {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "map shared memory");
  shared_ = new (memory) Shared;
}
SharedMemory::~SharedMemory() {
  ::munmap(shared_, sizeof(Shared));
}

int load(const int& value) {
  return __atomic_load_n(&value, __ATOMIC_SEQ_CST);
}
void store(int& value, int next) {
  __atomic_store_n(&value, next, __ATOMIC_SEQ_CST);
}

BootTime start_time(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  // Field 22, counted from the state (3), which follows the last parenthesis.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    fields >> field;
  }
  return {Nanoseconds(std::stoll(field) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK)))};
}

int blocked_threads(pid_t pid) {
  int count = 0;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    std::ifstream file(entry.path() / "status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("State:")) {
        count += line.find('D') != std::string::npos ? 1 : 0;
        break;
      }
    }
  }
  return count;
}

DeadDisk::DeadDisk(const Directory& directory) {
  outer_ =
      std::make_unique<LoopDevice>(make_ext4_image(directory.path() + "/outer.img", 256ULL << 20U));
  mount_ = std::make_unique<Mount>(outer_->path(), directory.path() + "/outer");
  disk_ = std::make_unique<LoopDevice>(make_file(mount_->path() + "/disk.img", 64ULL << 20U));
}

void DeadDisk::freeze() {
  freeze_ = std::make_unique<Freeze>(mount_->path());
}
void DeadDisk::revive() {
  freeze_.reset();
}

}  // namespace hvguard::lab
