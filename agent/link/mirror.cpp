#include "link/mirror.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <tuple>
#include <utility>

#include <google/protobuf/timestamp.pb.h>

namespace hvguard::link {
namespace {

auto time_key(const google::protobuf::Timestamp& time) {
  return std::make_tuple(time.seconds(), time.nanos());
}

bool vm_before(const MirroredVm& a, const MirroredVm& b) {
  return std::tie(a.vm.name(), a.vm.vm_id()) < std::tie(b.vm.name(), b.vm.vm_id());
}

bool task_before(const v1::BlockedTask& a, const v1::BlockedTask& b) {
  if (a.has_blocked_since_time() != b.has_blocked_since_time()) {
    return a.has_blocked_since_time();
  }
  const auto a_since = time_key(a.blocked_since_time());
  const auto b_since = time_key(b.blocked_since_time());
  return a_since != b_since ? a_since < b_since : a.tid() < b.tid();
}

bool incident_before(const SharedIncident& a, const SharedIncident& b) {
  const bool a_open = a->state() == v1::Incident::STATE_OPEN;
  const bool b_open = b->state() == v1::Incident::STATE_OPEN;
  if (a_open != b_open) {
    return a_open;
  }
  const auto a_time = time_key(a->detect_time());
  const auto b_time = time_key(b->detect_time());
  return a_time != b_time ? a_time > b_time : a->incident_id() < b->incident_id();
}

auto limit_key(const v1::Limit& limit) {
  return std::make_tuple(std::string_view(limit.vm_name()),
                         std::string_view(limit.vm_id()),
                         static_cast<int>(limit.kind()),
                         limit.device().major(),
                         limit.device().minor());
}

std::vector<MirroredVm> take_vms(std::vector<v1::Vm>&& vms) {
  std::vector<MirroredVm> out(vms.size());
  for (std::size_t i = 0; i < vms.size(); ++i) {
    out[i].device_ios.Swap(vms[i].mutable_device_ios());
    out[i].vm = std::move(vms[i]);
  }
  std::sort(out.begin(), out.end(), vm_before);
  return out;
}

// The previous mirror's copy if it says the same.
SharedIncident share(v1::Incident&& incident, const Mirror* previous) {
  if (previous != nullptr) {
    const auto old = previous->incident_by_id.find(incident.incident_id());
    if (old != previous->incident_by_id.end()) {
      const SharedIncident& same = (*previous->incidents)[old->second];
      if (same->SerializeAsString() == incident.SerializeAsString()) {
        return same;
      }
    }
  }
  return std::make_shared<const v1::Incident>(std::move(incident));
}

}  // namespace

std::shared_ptr<const Mirror> build_mirror(Frame&& frame, const Mirror* previous) {
  auto mirror = std::make_shared<Mirror>();
  mirror->epoch = frame.epoch;
  mirror->tick = frame.tick;
  mirror->status = std::move(frame.status);
  mirror->vms = take_vms(std::move(frame.vms));
  mirror->blocked_tasks = std::move(frame.blocked_tasks);
  std::sort(mirror->blocked_tasks.begin(), mirror->blocked_tasks.end(), task_before);
  mirror->limits = std::move(frame.limits);
  std::ranges::sort(mirror->limits, {}, limit_key);
  mirror->decisions = std::move(frame.decisions);
  std::ranges::sort(mirror->decisions, std::greater<>(), &v1::Decision::sequence);

  IncidentList incidents;
  incidents.reserve(frame.incidents.size());
  for (v1::Incident& incident : frame.incidents) {
    if (incident.has_evidence()) {
      mirror->evidence_by_incident[incident.incident_id()] =
          std::move(*incident.mutable_evidence());
      incident.clear_evidence();
    }
    incidents.push_back(share(std::move(incident), previous));
  }
  std::sort(incidents.begin(), incidents.end(), incident_before);
  for (std::size_t i = 0; i < incidents.size(); ++i) {
    mirror->incident_by_id.emplace(incidents[i]->incident_id(), i);
  }
  mirror->incidents = std::make_shared<const IncidentList>(std::move(incidents));
  return mirror;
}

MirrorSlot::View MirrorSlot::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

void MirrorSlot::set_mirror(std::shared_ptr<const Mirror> mirror, BootTime fresh_time) {
  const std::lock_guard lock(mutex_);
  view_.mirror.swap(mirror);  // the old one is freed after the lock, it may be large
  view_.fresh_time = fresh_time;
  view_.link_error.clear();
}

void MirrorSlot::set_link_error(std::string error) {
  const std::lock_guard lock(mutex_);
  view_.link_error = std::move(error);
}

}  // namespace hvguard::link
