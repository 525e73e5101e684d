#include "observe/swap_reader.h"

#include <algorithm>
#include <array>
#include <string>

#include <unistd.h>

#include "base/parse.h"

namespace hvguard::observe {
namespace {

// The whole disk of "sda2", "dm-1", "sda": the link in /sys/class/block ends in block/sda/sda2 for
// a partition, in block/sda for a disk.
std::optional<DeviceId> disk_of(const DirFd& sys, std::string_view name) {
  std::array<char, 4096> target;
  const std::string link = "class/block/" + std::string(name);
  const ssize_t length = ::readlinkat(sys.get(), link.c_str(), target.data(), target.size());
  if (length <= 0) {
    return std::nullopt;
  }
  std::string_view path(target.data(), static_cast<std::size_t>(length));
  path = path.substr(0, path.rfind('/'));
  const std::string_view parent = path.substr(path.rfind('/') + 1);
  const std::string disk(parent == "block" ? name : parent);
  std::array<char, 64> buffer;
  const auto text = read_file_at(sys, "block/" + disk + "/dev", buffer);
  const auto id = text ? parse_device_id(trimmed(*text)) : fail(text.error());
  return id ? std::optional(*id) : std::nullopt;
}

}  // namespace

std::optional<std::vector<std::string_view>> parse_swaps(std::string_view text) {
  std::vector<std::string_view> names;
  static_cast<void>(next_field(text, '\n'));  // the heading
  while (!text.empty()) {
    const std::string_view line = next_field(text, '\n');
    const std::string_view node = line.substr(0, line.find_first_of(" \t"));
    const std::string_view rest = trimmed(line.substr(node.size()));
    constexpr std::string_view kNodes = "/dev/";
    if (!rest.starts_with("partition") || !node.starts_with(kNodes) ||
        node.substr(kNodes.size()).find_first_of("/\\") != std::string_view::npos) {
      return std::nullopt;
    }
    names.push_back(node.substr(kNodes.size()));
  }
  return names;
}

void SwapReader::read(const HostRoot& root,
                      std::span<char> buffer,
                      HostReading& host,
                      SourceBook& book) {
  const auto total = host.meminfo ? host.meminfo->swap_total_bytes : std::nullopt;
  if (!total || known_total_ != total) {
    known_total_ = total;
    devices_.reset();
    const auto text = total == 0U ? Result<std::string_view>(std::string_view())
                                  : read_file_at(root.proc(), "swaps", buffer);
    if (const auto names = text ? parse_swaps(*text) : std::nullopt) {
      devices_.emplace();
      for (const std::string_view name : *names) {
        const auto disk = root.sys().valid() ? disk_of(root.sys(), name) : std::nullopt;
        if (!disk) {
          devices_.reset();
          break;
        }
        if (std::find(devices_->begin(), devices_->end(), *disk) == devices_->end()) {
          devices_->push_back(*disk);
        }
      }
    }
  }
  if (!devices_) {
    book.gap(Source::kBlockDevices,
             GapReason::kUnsupported,
             "/proc/swaps",
             "the disk of a swap file or of an unusual node is not known: no new io limit is set; "
             "use a swap partition or volume");
  }
  host.swap_devices = devices_;
}

}  // namespace hvguard::observe
