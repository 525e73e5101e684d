#include "detect/contention_sides.h"

#include <algorithm>

namespace hvguard {
namespace {

// Who has a smaller share and too few requests for a latency does not use the device: a VM that
// writes a log line now and then would halve the fair share of those who work.
constexpr double kLeastUse = 0.01;
constexpr double kLeastCulprit = 0.05;
constexpr double kTimesVictim = 2;

bool suffers(const IoParty& party, std::size_t bound_bucket) {
  const auto bucket = slowest_bucket(party);
  return bucket && *bucket >= bound_bucket;
}

bool uses(const IoParty& party) {
  return party.read || party.write || party.share > kLeastUse;
}

}  // namespace

std::optional<std::size_t> slowest_bucket(const IoParty& party) {
  if (!party.read && !party.write) {
    return std::nullopt;
  }
  const auto bucket = [](const std::optional<SlowRequests>& requests) {
    return requests ? requests->p99_bucket : 0;
  };
  return std::max(bucket(party.read), bucket(party.write));
}

std::optional<ContentionSides> find_sides(const DeviceUse& use, std::size_t bound_bucket) {
  const auto suffers_here = [&](const IoParty& party) { return suffers(party, bound_bucket); };
  if (std::none_of(use.parties.begin(), use.parties.end(), suffers_here)) {
    return std::nullopt;  // nearly always
  }
  ContentionSides sides;
  sides.party_count =
      static_cast<std::size_t>(std::count_if(use.parties.begin(), use.parties.end(), uses));
  sides.fair_share = 1.0 / static_cast<double>(std::max<std::size_t>(sides.party_count, 1));

  double modest_share = 0;
  std::size_t modest_count = 0;
  for (const IoParty& party : use.parties) {
    if (suffers_here(party) && party.share <= sides.fair_share) {
      modest_share += party.share;
      ++modest_count;
    }
  }
  if (sides.party_count < 2 || modest_count == 0) {
    return std::nullopt;
  }
  const double least_culprit =
      std::max(kLeastCulprit, kTimesVictim * modest_share / static_cast<double>(modest_count));
  for (const IoParty& party : use.parties) {
    if (party.share > sides.fair_share && party.share >= least_culprit) {
      sides.culprits.push_back(&party);
    } else if (suffers_here(party)) {
      sides.victims.push_back(&party);
    }
  }
  std::sort(sides.victims.begin(), sides.victims.end(), [](const auto* a, const auto* b) {
    const auto slowest_of_a = slowest_bucket(*a);
    const auto slowest_of_b = slowest_bucket(*b);
    return slowest_of_a != slowest_of_b ? slowest_of_a > slowest_of_b : a->vm < b->vm;
  });
  std::sort(sides.culprits.begin(), sides.culprits.end(), [](const auto* a, const auto* b) {
    return a->share != b->share ? a->share > b->share : a->vm < b->vm;
  });
  return sides;
}

}  // namespace hvguard
