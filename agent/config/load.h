// Reads the configuration: the main file, then its drop-ins ("hvguard.d/*.toml" beside
// "hvguard.toml") in the order of their names; a later one wins key by key.
// Reads files that may lie on a dead disk, so it can block for ever: called before anything runs,
// and for a reload on a thread of its own, never on the loop.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/draft.h"
#include "model/config.h"

namespace hvguard::config {

inline constexpr std::string_view kDefaultPath = "/etc/hvguard/hvguard.toml";
inline constexpr std::size_t kMaxDropIns = 64;

struct Loaded {
  hvguard::Config config;                 // of use only without faults
  std::map<std::string, Origin> origins;  // of what the files set; all else is the default
  std::vector<std::string> files;         // what was read, in order
  std::vector<Fault> faults;              // all of them, in file order; empty: fine
};

// A main file that does not exist is a fault, unless `path` is the default one: then the defaults
// hold. What cannot be read is a fault in any case.
[[nodiscard]] Loaded load(const std::string& path);

// "configuration is right: /etc/hvguard/hvguard.toml" and what else was read.
[[nodiscard]] std::string describe_files(const Loaded& loaded);
// All faults, a line each, with a count of them as the last line.
[[nodiscard]] std::string describe_faults(const std::vector<Fault>& faults);

}  // namespace hvguard::config
