#include "spool/pstore.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"

namespace hvguard::spool {
namespace {

constexpr std::array kFolders = {"sys/fs/pstore", "var/lib/systemd/pstore"};
constexpr int kMaxDepth = 3;  // systemd-pstore of EFI variables: ID/PART/dmesg.txt at most
constexpr std::size_t kMaxNames = 1024;
constexpr std::size_t kMaxFiles = 16;
constexpr std::size_t kMaxPathBytes = 160;
constexpr std::size_t kMaxLineBytes = 256;
// A record of the kernel has 10 KiB unless told otherwise; ramoops' zones may have more.
constexpr std::size_t kMaxFileBytes = std::size_t{256} * 1024;

struct Marker {
  int weight;
  std::string_view begin;     // the telling part begins here
  std::string_view contains;  // and the rest of the line has this
};

constexpr std::array kMarkers = {
    Marker{3, "Kernel panic - not syncing", ""},
    Marker{2, "BUG: ", ""},
    Marker{2, "Oops: ", ""},
    Marker{2, "general protection fault", ""},
    Marker{2, "Unable to handle kernel", ""},
    Marker{1, "INFO: task ", "blocked for more than"},
    Marker{1, "INFO: task ", "blocked in I/O wait"},
};

struct Found {
  std::string path;  // below the root
  std::uint64_t size_bytes = 0;
  WallTime modified;
};

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

class Search {
 public:
  Search(const DirFd& root, std::optional<WallTime> not_before, const v1::Pstore& told)
      : root_(root), not_before_(not_before), told_(told) {}

  void look_into(const std::string& folder, int depth);
  [[nodiscard]] v1::Pstore result() &&;

 private:
  void look_at(const std::string& path, int depth);
  [[nodiscard]] bool was_told(const Found& file) const;
  void complain(const Error& error);
  [[nodiscard]] std::vector<char> buffer() const { return std::vector<char>(kMaxFileBytes); }

  const DirFd& root_;
  std::optional<WallTime> not_before_;
  const v1::Pstore& told_;
  std::vector<Found> found_;
  std::size_t seen_ = 0;
  std::string error_;
};

void Search::complain(const Error& error) {
  if (error_.empty() && error.code != Errc::kGone) {
    error_ = safe_text(error.message, kMaxLineBytes);
  }
}

void Search::look_into(const std::string& folder, int depth) {
  auto dir = root_.open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir) {
    complain(dir.error());
    return;
  }
  const std::unique_ptr<DIR, DirCloser> list(::fdopendir(dir->get()));
  if (!list) {
    complain(Error{Errc::kInternal, errno, "list " + folder});
    return;
  }
  static_cast<void>(dir->release());  // the list's from now on
  while (const dirent* const entry = ::readdir(list.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    if (++seen_ > kMaxNames) {
      error_ = fmt::format("more than {} names", kMaxNames);
      return;
    }
    look_at(fmt::format("{}/{}", folder, name), depth);
  }
}

v1::PstoreFile to_proto(const Found& found) {
  v1::PstoreFile file;
  file.set_path(safe_text("/" + found.path, kMaxPathBytes));
  file.set_size_bytes(found.size_bytes);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(found.modified.since_epoch);
  file.mutable_modify_time()->set_seconds(seconds.count());
  file.mutable_modify_time()->set_nanos(
      static_cast<std::int32_t>((found.modified.since_epoch - seconds).count()));
  return file;
}

bool Search::was_told(const Found& found) const {
  const v1::PstoreFile file = to_proto(found);
  return std::any_of(
      told_.files().begin(), told_.files().end(), [&file](const v1::PstoreFile& other) {
        return other.path() == file.path() && other.size_bytes() == file.size_bytes() &&
               other.modify_time().seconds() == file.modify_time().seconds() &&
               other.modify_time().nanos() == file.modify_time().nanos();
      });
}

void Search::look_at(const std::string& path, int depth) {
  struct stat info{};
  if (::fstatat(root_.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  if (S_ISDIR(info.st_mode) && depth < kMaxDepth) {
    look_into(path, depth + 1);
    return;
  }
  const WallTime modified{std::chrono::seconds(info.st_mtim.tv_sec) +
                          Nanoseconds(info.st_mtim.tv_nsec)};
  const Found file{
      .path = path, .size_bytes = static_cast<std::uint64_t>(info.st_size), .modified = modified};
  if (S_ISREG(info.st_mode) && (!not_before_ || modified >= *not_before_) && !was_told(file)) {
    found_.push_back(file);
  }
}

// The text of one file, cut at its end.
Result<std::string_view> read_beginning(const DirFd& root,
                                        const std::string& path,
                                        std::vector<char>& buffer) {
  const auto file = root.open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) {
    return fail(file.error());
  }
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t count = ::read(file->get(), buffer.data() + size, buffer.size() - size);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail_errno(errno, "read " + path);
    }
    if (count == 0) {
      break;
    }
    size += static_cast<std::size_t>(count);
  }
  return std::string_view(buffer.data(), size);
}

v1::Pstore Search::result() && {
  // The newest first: of several crashes the last one counts. Paths order what is of one moment.
  std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return a.modified != b.modified ? a.modified > b.modified : a.path < b.path;
  });
  v1::Pstore out;
  std::vector<char> space = buffer();
  int weight = 0;
  for (const Found& one : found_) {
    if (static_cast<std::size_t>(out.files_size()) == kMaxFiles) {
      out.set_left_out_file_count(out.left_out_file_count() + 1);
      continue;
    }
    *out.add_files() = to_proto(one);
    const auto text = read_beginning(root_, one.path, space);
    if (!text) {
      complain(text.error());
      continue;
    }
    const TellingLine line = telling_line(*text);
    if (line.weight > weight) {
      weight = line.weight;
      out.set_telling_line(safe_text(line.text, kMaxLineBytes));
    }
  }
  out.set_error(error_);
  return out;
}

}  // namespace

TellingLine telling_line(std::string_view log) {
  TellingLine best;
  while (!log.empty()) {
    const std::string_view line = next_field(log, '\n');
    for (const Marker& marker : kMarkers) {
      const std::size_t at = line.find(marker.begin);
      if (marker.weight <= best.weight || at == std::string_view::npos ||
          line.find(marker.contains, at) == std::string_view::npos) {
        continue;
      }
      best = {.weight = marker.weight, .text = trimmed(line.substr(at))};
    }
  }
  return best;
}

v1::Pstore read_pstore(const std::string& root,
                       std::optional<WallTime> not_before,
                       const v1::Pstore& told) {
  const auto dir = DirFd::open(root);
  if (!dir) {
    v1::Pstore out;
    out.set_error(safe_text(dir.error().message, kMaxLineBytes));
    return out;
  }
  Search search(*dir, not_before, told);
  for (const char* const folder : kFolders) {
    search.look_into(folder, 1);
  }
  return std::move(search).result();
}

}  // namespace hvguard::spool
