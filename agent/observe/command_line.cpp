#include "observe/command_line.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <tuple>
#include <utility>

#include "base/parse.h"
#include "base/text.h"

namespace hvguard::observe {
namespace {

constexpr std::uint64_t kMebibyte = 1ULL << 20;
constexpr std::uint32_t kMaxVcpus = 65536;
// More is no command line of a VM manager; keeps hostile input cheap.
constexpr std::size_t kMaxWords = 4096;

// The words of a command line, one after the other.
class Words {
 public:
  explicit Words(std::string_view command_line) : rest_(command_line) {}

  std::optional<std::string_view> next() {
    if (rest_.empty() || taken_ == kMaxWords) {
      return std::nullopt;
    }
    ++taken_;
    return next_field(rest_, '\0');
  }

 private:
  std::string_view rest_;
  std::size_t taken_ = 0;
};

// "--memory=size=1G" and "--memory size=1G" are the same to clap, argh and Firecracker.
struct Option {
  std::string_view key;  // with its dashes
  std::string_view value;
};

// Calls take(option) for every word that begins with a dash; the value is what follows '=' or the
// next word if that is no option itself.
template <class Take>
void for_each_long_option(std::string_view command_line, Take take) {
  Words words(command_line);
  auto word = words.next();
  while (word) {
    if (!word->starts_with('-')) {
      word = words.next();
      continue;
    }
    auto value = *word;
    const auto key = next_field(value, '=');
    auto following = words.next();
    if (key.size() == word->size() && following && !following->starts_with('-')) {
      value = *following;
    }
    take(Option{key, value});
    word = following;
  }
}

// One "key=value" (or bare word) of a QemuOpts list, with ",," undone.
struct Parameter {
  std::string key;
  std::string value;
  bool bare = false;
};

Parameter next_parameter(std::string_view& rest) {
  std::string text;
  std::size_t i = 0;
  for (; i < rest.size(); ++i) {
    if (rest[i] != ',') {
      text += rest[i];
    } else if (i + 1 < rest.size() && rest[i + 1] == ',') {
      text += ',';
      ++i;
    } else {
      break;
    }
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  const auto equals = text.find('=');
  if (equals == std::string::npos) {
    return {{}, std::move(text), true};
  }
  return {text.substr(0, equals), text.substr(equals + 1), false};
}

// Calls take(key, value) for each parameter; a bare first one has the implied key.
template <class Take>
void for_each_parameter(std::string_view list, std::string_view implied_key, Take take) {
  bool first = true;
  while (!list.empty()) {
    const Parameter parameter = next_parameter(list);
    if (!parameter.bare) {
      take(std::string_view(parameter.key), std::string_view(parameter.value));
    } else if (first) {
      take(implied_key, std::string_view(parameter.value));
    }
    first = false;
  }
}

std::optional<std::uint32_t> parse_vcpus(std::string_view text) {
  const auto count = parse_number<std::uint32_t>(text);
  return count && *count > 0 && *count <= kMaxVcpus ? count : std::nullopt;
}

std::string parse_uuid(std::string_view text) {
  if (text.size() != 36) {
    return {};
  }
  std::string uuid;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool dash_place = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash_place ? c != '-' : std::isxdigit(c) == 0) {
      return {};
    }
    uuid += static_cast<char>(std::tolower(c));
  }
  return uuid;
}

std::string safe_name(std::string_view raw) {
  return safe_text(raw, kMaxNameBytes);
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// ---- QEMU --------------------------------------------------------------------------------------

// -smp [[cpus=]n][,maxcpus=n][,sockets=n][,dies=n][,clusters=n][,cores=n][,threads=n]: without
// cpus it is maxcpus, else the product (hw/core/machine-smp.c).
std::optional<std::uint32_t> parse_smp(std::string_view list) {
  std::optional<std::uint32_t> cpus;
  std::optional<std::uint32_t> maxcpus;
  std::uint64_t product = 1;
  bool any = false;
  for_each_parameter(list, "cpus", [&](std::string_view key, std::string_view value) {
    const auto count = parse_vcpus(value);
    if (key == "cpus") {
      cpus = count;
    } else if (key == "maxcpus") {
      maxcpus = count;
    } else if (count) {
      product = std::min<std::uint64_t>(product * *count, std::uint64_t{kMaxVcpus} + 1);
      any = true;
    }
  });
  if (cpus) {
    return cpus;
  }
  if (maxcpus) {
    return maxcpus;
  }
  if (!any || product > kMaxVcpus) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(product);
}

// The accelerators the command line asks for, in order: QEMU takes the first that works.
class AcceleratorChoice {
 public:
  void add(std::string_view name) {
    const auto accelerator = name == "kvm"   ? Accelerator::kKvm
                             : name == "tcg" ? Accelerator::kTcg
                                             : Accelerator::kUnknown;
    if (!first_) {
      first_ = accelerator;
    }
    differs_ |= *first_ != accelerator;
  }
  void add_list(std::string_view names) {
    while (!names.empty()) {
      add(next_field(names, ':'));
    }
  }
  // TCG always works, so what follows it is never reached; KVM with a fall-back is open.
  [[nodiscard]] Accelerator result(std::string_view executable) const {
    if (!first_) {
      return executable.ends_with("kvm") ? Accelerator::kUnknown : Accelerator::kTcg;
    }
    return differs_ && *first_ != Accelerator::kTcg ? Accelerator::kUnknown : *first_;
  }

 private:
  std::optional<Accelerator> first_;
  bool differs_ = false;
};

// What QEMU's options say, one after the other.
class QemuOptions {
 public:
  void take(std::string_view option, std::string_view value) {
    if (option == "name") {
      facts_.name = parameter(value, "guest", "guest", facts_.name, safe_name);
    } else if (option == "uuid") {
      facts_.uuid = parse_uuid(value);
    } else if (option == "smbios" && facts_.uuid.empty()) {  // Proxmox gives the UUID only here
      facts_.uuid = parameter(value, "", "uuid", facts_.uuid, parse_uuid);
    } else if (option == "id") {
      proxmox_id_ = safe_name(value);
    } else if (option == "m") {
      facts_.guest_memory_bytes =
          parameter(value, "size", "size", facts_.guest_memory_bytes, [](std::string_view size) {
            return parse_size(size, kMebibyte);
          });
    } else if (option == "smp") {
      facts_.vcpu_count = parse_smp(value);
    } else if (option == "accel") {
      take_accelerators(value, "accel");
    } else if (option == "machine" || option == "M") {
      take_accelerators(value, "type");
      facts_.without_guest = parameter(value, "type", "type", facts_.without_guest, is_no_machine);
    }
  }
  void enable_kvm() { accelerator_.add("kvm"); }

  CommandLineFacts finish(std::string_view executable) && {
    if (facts_.name.empty()) {
      facts_.name = !facts_.uuid.empty() ? facts_.uuid : proxmox_id_;
    }
    facts_.accelerator = accelerator_.result(executable);
    return std::move(facts_);
  }

 private:
  // The last value of one parameter, or what was known before.
  template <class T, class Parse>
  static T parameter(std::string_view list,
                     std::string_view implied_key,
                     std::string_view wanted,
                     T value,
                     Parse parse) {
    for_each_parameter(list, implied_key, [&](std::string_view key, std::string_view text) {
      if (key == wanted) {
        value = parse(text);
      }
    });
    return value;
  }
  static bool is_no_machine(std::string_view type) { return type == "none"; }
  void take_accelerators(std::string_view list, std::string_view implied_key) {
    for_each_parameter(list, implied_key, [&](std::string_view key, std::string_view names) {
      if (key == "accel") {
        accelerator_.add_list(names);
      }
    });
  }

  CommandLineFacts facts_;
  AcceleratorChoice accelerator_;
  std::string proxmox_id_;
};

bool is_wanted_by_qemu(std::string_view option) {
  static constexpr std::array<std::string_view, 9> wanted = {
      "name", "uuid", "smbios", "id", "m", "smp", "accel", "machine", "M"};
  return std::find(wanted.begin(), wanted.end(), option) != wanted.end();
}

CommandLineFacts parse_qemu(std::string_view executable, std::string_view command_line) {
  QemuOptions options;
  Words words(command_line);
  std::ignore = words.next();  // argv[0]
  while (auto word = words.next()) {
    if (!word->starts_with('-')) {
      continue;
    }
    word->remove_prefix(word->starts_with("--") ? 2 : 1);
    if (*word == "enable-kvm") {
      options.enable_kvm();
    } else if (is_wanted_by_qemu(*word)) {
      options.take(*word, words.next().value_or(""));
    }
  }
  return std::move(options).finish(executable);
}

// ---- the others --------------------------------------------------------------------------------

CommandLineFacts parse_firecracker(std::string_view command_line) {
  CommandLineFacts facts;
  facts.accelerator = Accelerator::kKvm;
  for_each_long_option(command_line, [&](const Option& option) {
    if (option.key == "--id") {
      facts.name = safe_name(option.value);
    }
  });
  return facts;
}

// "/run/ch/web.sock" is "web"; where every VM's socket has the same name
// ("/run/vc/vm/ID/clh-api.sock") it is the directory that tells them apart.
std::string_view name_of_socket(std::string_view path) {
  static constexpr std::array<std::string_view, 6> generic = {
      "api", "ch", "clh", "clh-api", "cloud-hypervisor", "cloud-hypervisor-api"};
  auto stem = base_name(path);
  stem = stem.substr(0, stem.rfind(".sock"));
  if (std::find(generic.begin(), generic.end(), stem) == generic.end()) {
    return stem;
  }
  const auto slash = path.rfind('/');
  const auto directory =
      slash == std::string_view::npos ? std::string_view() : base_name(path.substr(0, slash));
  return directory.empty() ? stem : directory;
}

CommandLineFacts parse_cloud_hypervisor(std::string_view command_line) {
  CommandLineFacts facts;
  facts.accelerator = Accelerator::kKvm;
  for_each_long_option(command_line, [&](const Option& option) {
    if (option.key == "--memory") {
      for_each_parameter(option.value, "size", [&](std::string_view key, std::string_view value) {
        facts.guest_memory_bytes = key == "size" ? parse_size(value, 1) : facts.guest_memory_bytes;
      });
    } else if (option.key == "--cpus") {
      for_each_parameter(option.value, "boot", [&](std::string_view key, std::string_view value) {
        facts.vcpu_count = key == "boot" ? parse_vcpus(value) : facts.vcpu_count;
      });
    } else if (option.key == "--api-socket") {
      for_each_parameter(option.value, "path", [&](std::string_view key, std::string_view value) {
        facts.name = key == "path" ? safe_name(name_of_socket(value)) : facts.name;
      });
    } else if (option.key == "--platform") {
      for_each_parameter(option.value, "", [&](std::string_view key, std::string_view value) {
        facts.uuid = key == "uuid" ? parse_uuid(value) : facts.uuid;
      });
    }
  });
  return facts;
}

CommandLineFacts parse_crosvm(std::string_view command_line) {
  CommandLineFacts facts;
  facts.accelerator = Accelerator::kKvm;
  std::string socket_name;
  for_each_long_option(command_line, [&](const Option& option) {
    if (option.key == "--mem" || option.key == "-m") {
      for_each_parameter(option.value, "size", [&](std::string_view key, std::string_view value) {
        facts.guest_memory_bytes =
            key == "size" ? parse_size(value, kMebibyte) : facts.guest_memory_bytes;
      });
    } else if (option.key == "--cpus" || option.key == "-c") {
      for_each_parameter(
          option.value, "num-cores", [&](std::string_view key, std::string_view value) {
            facts.vcpu_count = key == "num-cores" ? parse_vcpus(value) : facts.vcpu_count;
          });
    } else if (option.key == "--name") {
      facts.name = safe_name(option.value);
    } else if (option.key == "--socket" || option.key == "-s") {
      socket_name = safe_name(name_of_socket(option.value));
    }
  });
  if (facts.name.empty()) {
    facts.name = std::move(socket_name);
  }
  return facts;
}

}  // namespace

VmManager manager_of(std::string_view executable) {
  if (executable.starts_with("qemu-system-") || executable == "qemu-kvm" || executable == "kvm") {
    return VmManager::kQemu;
  }
  if (executable.starts_with("firecracker")) {
    return VmManager::kFirecracker;
  }
  if (executable.starts_with("cloud-hypervisor")) {
    return VmManager::kCloudHypervisor;
  }
  return executable == "crosvm" ? VmManager::kCrosvm : VmManager::kUnknown;
}

CommandLineFacts parse_command_line(std::string_view executable, std::string_view command_line) {
  switch (manager_of(executable)) {
    case VmManager::kQemu:
      return parse_qemu(executable, command_line);
    case VmManager::kFirecracker:
      return parse_firecracker(command_line);
    case VmManager::kCloudHypervisor:
      return parse_cloud_hypervisor(command_line);
    case VmManager::kCrosvm:
      return parse_crosvm(command_line);
    case VmManager::kUnknown:
      break;
  }
  return {};
}

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t default_unit) {
  const auto digits_end = std::min(text.find_first_not_of("0123456789."), text.size());
  auto suffix = text.substr(digits_end);
  auto decimals = text.substr(0, digits_end);
  const auto whole = parse_number<std::uint64_t>(next_field(decimals, '.'));
  std::uint64_t unit = default_unit;
  if (!suffix.empty()) {
    static constexpr std::string_view suffixes = "bkmgtpe";
    const auto place =
        suffixes.find(static_cast<char>(std::tolower(static_cast<unsigned char>(suffix[0]))));
    const auto tail = suffix.substr(1);
    if (place == std::string_view::npos || !(tail.empty() || tail == "iB" || tail == "B")) {
      return std::nullopt;
    }
    unit = 1ULL << (10 * place);
  }
  if (!whole || *whole > std::numeric_limits<std::uint64_t>::max() / unit) {
    return std::nullopt;
  }
  double fraction = 0;
  double place = 0.1;
  for (const char c : decimals) {
    if (c == '.') {
      return std::nullopt;
    }
    fraction += place * (c - '0');
    place /= 10;
  }
  const auto part = static_cast<std::uint64_t>(fraction * static_cast<double>(unit) + 0.5);
  const std::uint64_t whole_bytes = *whole * unit;
  if (whole_bytes > std::numeric_limits<std::uint64_t>::max() - part) {
    return std::nullopt;
  }
  const std::uint64_t bytes = whole_bytes + part;
  return bytes > 0 ? std::optional(bytes) : std::nullopt;
}

}  // namespace hvguard::observe
