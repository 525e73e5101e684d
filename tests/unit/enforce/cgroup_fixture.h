// A cgroup tree of plain files in a temporary folder, and a runtime folder beside it. A plain file
// keeps what was last written, so each cgroup has limits on one device at most.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include <sys/stat.h>

#include "base/fd.h"
#include "enforce/lease_journal.h"

namespace hvguard::enforce::test {

inline constexpr DeviceId kDisk{8, 0};
inline constexpr SettingKey kReadBytes{LimitKind::kReadBytes, kDisk};
inline constexpr SettingKey kPids{LimitKind::kPidsMax, {}};

class CgroupFixture {
 public:
  CgroupFixture() {
    std::string pattern = "/tmp/hvguard-enforce-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
      std::abort();
    }
    root_ = pattern;
    std::filesystem::create_directories(root_ + "/cgroup");
    std::filesystem::create_directories(root_ + "/run");
  }
  ~CgroupFixture() { std::filesystem::remove_all(root_); }
  CgroupFixture(const CgroupFixture&) = delete;
  CgroupFixture& operator=(const CgroupFixture&) = delete;

  [[nodiscard]] std::string mount() const { return root_ + "/cgroup"; }
  [[nodiscard]] std::string runtime() const { return root_ + "/run"; }

  // With all files of hvguard's settings, as a fresh VM has them.
  CgroupId add(const std::string& path) const {
    std::filesystem::create_directories(mount() + path);
    for (const auto& [name, text] :
         std::map<std::string, std::string>{{"io.max", ""},
                                            {"io.weight", "default 100\n"},
                                            {"memory.low", "0\n"},
                                            {"memory.high", "max\n"},
                                            {"memory.max", "max\n"},
                                            {"memory.swap.max", "max\n"},
                                            {"memory.current", "0\n"},
                                            {"pids.max", "16384\n"},
                                            {"cpu.max", "max 100000\n"},
                                            {"cpu.weight", "100\n"}}) {
      write(path, name, text);
    }
    struct stat info{};
    ::stat((mount() + path).c_str(), &info);
    return CgroupId{info.st_ino};
  }
  void write(const std::string& path, const std::string& name, const std::string& text) const {
    std::ofstream(mount() + path + "/" + name) << text;
  }
  [[nodiscard]] std::string read(const std::string& path, const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(mount() + path + "/" + name).rdbuf();
    return text.str();
  }
  [[nodiscard]] SettingValue value(const std::string& path, const SettingKey& key) const {
    return parse_setting(read(path, std::string(file_of(key.kind))), key).value_or(std::nullopt);
  }
  [[nodiscard]] bool has_journal() const {
    return std::filesystem::exists(runtime() + "/" + std::string(kJournalName));
  }

 private:
  std::string root_;
};

inline VmId vm_number(int number) {
  return {
      number, BootTime{std::chrono::seconds(number)}, CgroupId{static_cast<std::uint64_t>(number)}};
}

}  // namespace hvguard::enforce::test
