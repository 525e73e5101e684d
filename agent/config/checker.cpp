#include "config/checker.h"

#include "base/text.h"
#include "config/units.h"

namespace hvguard::config {
namespace {

constexpr std::size_t kMaxGlobBytes = 256;  // longer than any name of a unit

// What is wrong with it; empty if nothing is.
std::string glob_fault(const std::string& glob, GlobOf what) {
  const std::string shown = safe_text(glob, kMaxShownBytes);
  if (glob.empty() || glob.size() > kMaxGlobBytes) {
    return fmt::format(
        "a pattern has 1 to {} characters; \"{}\" has {}", kMaxGlobBytes, shown, glob.size());
  }
  const bool has_slash = glob.find('/') != std::string::npos;
  switch (what) {
    case GlobOf::kVm:
      return {};
    case GlobOf::kUnit:
      // Every unit's name ends in its type.
      return has_slash || glob.find_first_of(".*?") == std::string::npos
                 ? fmt::format(
                       "\"{}\" is no unit: write its whole name without path, such as "
                       "\"nginx.service\" or \"machine-qemu*.scope\"",
                       shown)
                 : "";
    case GlobOf::kDevice:
      return has_slash ? fmt::format(
                             "\"{}\" is no name of a disk: write it without path, such as "
                             "\"nvme0n1\" or \"sd*\"",
                             shown)
                       : "";
  }
  return {};
}

}  // namespace

Nanoseconds Checker::duration(std::string_view key,
                              bool is_set,
                              const std::string& text,
                              Nanoseconds standard,
                              Nanoseconds least,
                              Nanoseconds most) {
  if (!is_set) {
    return standard;
  }
  const auto value = parse_duration(text);
  if (!value) {
    fault(key,
          fmt::format("\"{}\" is no duration: write a whole number and ms, s, min or h, such as "
                      "\"{}\"",
                      safe_text(text, kMaxShownBytes),
                      written(standard)));
    return standard;
  }
  if (*value < least || *value > most) {
    fault(key,
          fmt::format("\"{}\" is out of range: {} to {}",
                      safe_text(text, kMaxShownBytes),
                      written(least),
                      written(most)));
    return standard;
  }
  return *value;
}

std::optional<std::uint64_t> Checker::optional_size(std::string_view key,
                                                    bool is_set,
                                                    std::uint64_t value,
                                                    std::uint64_t least,
                                                    std::uint64_t most,
                                                    std::string_view why) {
  return ranged(key, is_set, value, least, most, written_size, why);
}

std::optional<LimitMode> Checker::optional_mode(std::string_view key,
                                                bool is_set,
                                                const std::string& text) {
  if (!is_set) {
    return std::nullopt;
  }
  for (const LimitMode mode : {LimitMode::kObserve, LimitMode::kDryRun, LimitMode::kEnforce}) {
    if (text == to_string(mode)) {
      return mode;
    }
  }
  fault(key,
        fmt::format("\"{}\" is no mode: observe, dry_run or enforce",
                    safe_text(text, kMaxShownBytes)));
  return std::nullopt;
}

std::vector<std::string> Checker::globs(
    std::string_view key,
    const google::protobuf::RepeatedPtrField<std::string>& texts,
    GlobOf what) {
  if (texts.size() > kMaxGlobs) {
    fault(key, fmt::format("{} patterns; at most {}", texts.size(), kMaxGlobs));
    return {};
  }
  for (const std::string& glob : texts) {
    if (const std::string wrong = glob_fault(glob, what); !wrong.empty()) {
      fault(key, wrong);
    }
  }
  return {texts.begin(), texts.end()};
}

void Checker::fault(std::string_view key, std::string_view what) {
  faults_.push_back({origin(key), fmt::format("'{}': {}", key, what)});
}

void Checker::fault_of_either(std::string_view key, std::string_view other, std::string_view what) {
  const std::string_view place = is_set(key) ? key : other;
  faults_.push_back({origin(place), fmt::format("'{}': {}", key, what)});
}

Origin Checker::origin(std::string_view key) const {
  const auto found = draft_.origins.find(std::string(key));
  return found == draft_.origins.end() ? Origin{} : found->second;
}

}  // namespace hvguard::config
