#include "config/load.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <tuple>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/text.h"
#include "config/decode.h"
#include "config/validate.h"

namespace hvguard::config {
namespace {

Result<std::string> read_config_file(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    return fail_errno(errno, "cannot be opened");
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) {
    return fail_errno(errno, "cannot be read");
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::kInvalid, "is no regular file");
  }
  std::string buffer(kMaxConfigBytes + 1, '\0');
  auto text = read_from_start(file.get(), buffer);
  if (!text && text.error().code == Errc::kExhausted) {
    return buffer;  // too long by one byte at least: decode() says so
  }
  if (!text) {
    return fail(std::move(text).error());
  }
  return std::string(*text);
}

// "/etc/hvguard/hvguard.toml" → "/etc/hvguard/hvguard.d"
std::string drop_in_folder(const std::string& path) {
  const std::string_view suffix = ".toml";
  return (path.ends_with(suffix) ? path.substr(0, path.size() - suffix.size()) : path) + ".d";
}

Result<std::vector<std::string>> list_drop_ins(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(folder.c_str()), ::closedir);
  std::vector<std::string> files;
  if (!directory) {
    if (errno == ENOENT) {
      return files;
    }
    return fail_errno(errno, "cannot be listed");
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (!name.ends_with(".toml") || name.starts_with('.')) {
      continue;
    }
    if (files.size() == kMaxDropIns) {
      return fail(Errc::kExhausted, fmt::format("has more than {} files", kMaxDropIns));
    }
    files.push_back(folder + "/" + std::string(name));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Loaded load(const std::string& path) {
  Loaded loaded;
  Draft draft;
  const auto read_one = [&](const std::string& file) {
    auto text = read_config_file(file);
    if (text) {
      loaded.files.push_back(file);
      draft = decode(std::move(draft), *text, file);
    } else if (text.error().sys_errno != ENOENT || file != kDefaultPath) {
      draft.add_fault({file, 0, 0}, text.error().message);
    }
  };
  read_one(path);
  const std::string folder = drop_in_folder(path);
  const auto drop_ins = list_drop_ins(folder);
  if (!drop_ins) {
    draft.add_fault({folder, 0, 0}, drop_ins.error().message);
  } else {
    for (const std::string& file : *drop_ins) {
      read_one(file);
    }
  }
  Validated validated = validate(draft);
  loaded.config = std::move(validated.config);
  loaded.origins = std::move(draft.origins);
  loaded.faults = std::move(draft.faults);
  loaded.faults.insert(loaded.faults.end(), validated.faults.begin(), validated.faults.end());
  if (draft.dropped_fault_count > 0) {
    loaded.faults.push_back(
        {{path, 0, 0}, fmt::format("and {} more faults", draft.dropped_fault_count)});
  }
  const auto place = [&](const Fault& fault) {
    const auto file = std::find(loaded.files.begin(), loaded.files.end(), fault.origin.file);
    return std::tuple(
        file - loaded.files.begin(), fault.origin.line, fault.origin.column, fault.message);
  };
  std::sort(loaded.faults.begin(), loaded.faults.end(), [&](const Fault& a, const Fault& b) {
    return place(a) < place(b);
  });
  return loaded;
}

std::string describe_files(const Loaded& loaded) {
  return loaded.files.empty()
             ? "configuration is right: no file, all defaults"
             : fmt::format("configuration is right: {}", fmt::join(loaded.files, ", "));
}

std::string describe_faults(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) {
    text += to_string(fault) + "\n";
  }
  return text +
         fmt::format("{} in the configuration\n",
                     faults.size() == 1 ? "1 fault" : fmt::format("{} faults", faults.size()));
}

}  // namespace hvguard::config
