#include "decide/blast_radius.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace hvguard {
namespace {

constexpr Nanoseconds kBudgetWindow = std::chrono::seconds(60);

double io_rate(const VmFacts& vm) {
  return vm.read.bytes_per_second.value_or(0) + vm.write.bytes_per_second.value_or(0);
}

// The same for all limits that one write sets.
LimitKey change_of(LimitKey key) {
  key.kind = is_per_device(key.kind) ? LimitKind::kReadBytes : key.kind;
  return key;
}

}  // namespace

std::size_t max_limited_vms(const SafetyConfig& config, std::size_t vm_count) {
  const double ratio = std::clamp(config.max_limited_vm_ratio, 0.0, 1.0);
  const double share = std::floor(static_cast<double>(vm_count) * ratio + 1e-9);
  return std::max<std::size_t>(1, static_cast<std::size_t>(share));
}

std::vector<VmId> by_precedence(std::vector<LimitedVmWish> wishes,
                                const std::map<VmId, BootTime>& limited_since,
                                const Facts* facts) {
  std::map<VmId, double> rates;
  if (facts != nullptr) {
    for (const LimitedVmWish& wish : wishes) {
      if (!limited_since.contains(wish.vm)) {
        rates.emplace(wish.vm, 0.0);
      }
    }
    if (!rates.empty()) {
      for (const VmFacts& vm : facts->vms) {
        if (const auto at = rates.find(vm.id); at != rates.end()) {
          at->second = io_rate(vm);
        }
      }
    }
  }
  const auto rank = [&](const LimitedVmWish& wish) {
    const auto since = limited_since.find(wish.vm);
    const bool has_none = since == limited_since.end();
    const auto rate = rates.find(wish.vm);
    return std::tuple(has_none,
                      has_none ? BootTime{} : since->second,
                      has_none && !wish.by_people,
                      rate == rates.end() ? 0.0 : -rate->second,
                      wish.vm);
  };
  std::vector<std::pair<decltype(rank(wishes.front())), VmId>> ranked;
  ranked.reserve(wishes.size());
  for (const LimitedVmWish& wish : wishes) {
    ranked.emplace_back(rank(wish), wish.vm);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<VmId> order;
  order.reserve(ranked.size());
  for (const auto& [unused, vm] : ranked) {
    order.push_back(vm);
  }
  return order;
}

ChangeBudget::ChangeBudget(const SafetyConfig& config, std::deque<BootTime>& made, BootTime now)
    : made_(made), now_(now), most_(config.max_changes_per_minute) {
  while (!made_.empty() && now - made_.front() >= kBudgetWindow) {
    made_.pop_front();
  }
}

bool ChangeBudget::take(const LimitKey& key) {
  const LimitKey change = change_of(key);
  if (granted_.contains(change)) {
    return true;
  }
  if (made_.size() >= most_) {
    return false;
  }
  made_.push_back(now_);
  granted_.insert(change);
  return true;
}

}  // namespace hvguard
