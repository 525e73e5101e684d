#include "link/queries.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/parse.h"
#include "base/text.h"
#include "link/paging.h"

namespace hvguard::link {
namespace {

constexpr int kMaxFilterKinds = 64;
constexpr std::size_t kMaxNamedMatches = 5;  // ids named in "fits several"

// The sort keys of the three lists, as text: for page tokens.
using Key = std::vector<std::string>;

Key vm_key(const v1::Vm& vm) {
  return {vm.name(), vm.vm_id()};
}

// Sortable text of a moment, and of one that is not known, behind all known ones.
std::string time_text(bool known, const google::protobuf::Timestamp& time) {
  return known
             ? fmt::format("{:020}.{:09}", std::max<std::int64_t>(time.seconds(), 0), time.nanos())
             : "~";
}

Key task_key(const v1::BlockedTask& task) {
  return {time_text(task.has_blocked_since_time(), task.blocked_since_time()),
          fmt::format("{:010}", task.tid())};
}

// Newest first: seconds and nanoseconds count down.
Key incident_key(const v1::Incident& incident) {
  const auto& time = incident.detect_time();
  return {incident.state() == v1::Incident::STATE_OPEN ? "0" : "1",
          fmt::format(
              "{:020}.{:09}",
              std::numeric_limits<std::int64_t>::max() - std::max<std::int64_t>(time.seconds(), 0),
              999'999'999 - std::clamp(time.nanos(), 0, 999'999'999)),
          incident.incident_id()};
}

tl::unexpected<Error> several_vms(const std::string& name, const std::vector<std::string>& ids) {
  std::string text;
  for (std::size_t i = 0; i < std::min(ids.size(), kMaxNamedMatches); ++i) {
    text += (i == 0 ? "" : ", ") + ids[i];
  }
  return fail(Errc::kInvalid,
              fmt::format("{} VMs are called '{}': ask by vm_id: {}{}",
                          ids.size(),
                          safe_text(name, kMaxTextBytes),
                          text,
                          ids.size() > kMaxNamedMatches ? ", …" : ""));
}

}  // namespace

v1::GetStatusResponse get_status(const Mirror& mirror) {
  v1::GetStatusResponse response;
  *response.mutable_status() = mirror.status;
  return response;
}

Result<v1::ListVmsResponse> list_vms(const Mirror& mirror, const v1::ListVmsRequest& request) {
  const auto& filter = request.filter();
  if (auto checked = check_text("filter.name_glob", filter.name_glob()); !checked) {
    return fail(std::move(checked.error()));
  }
  v1::ListVmsResponse response;
  const auto next = fill_page(
      mirror.vms,
      question_of("ListVms", filter),
      request.page_size(),
      request.page_token(),
      [](const MirroredVm& each) { return vm_key(each.vm); },
      [&](const MirroredVm& each) {
        return (!filter.only_with_incidents() || each.vm.open_incident_ids_size() > 0) &&
               (filter.name_glob().empty() || glob_match(filter.name_glob(), each.vm.name()));
      },
      [&](const MirroredVm& each) {
        add_copy(*response.mutable_vms(), each.vm);
        v1::Vm& added = *response.mutable_vms()->rbegin();
        if (request.include_device_ios()) {
          *added.mutable_device_ios() = each.device_ios;
        }
        return added.ByteSizeLong();
      });
  if (!next) {
    return fail(next.error());
  }
  response.set_next_page_token(*next);
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<v1::GetVmResponse> get_vm(const Mirror& mirror, const v1::GetVmRequest& request) {
  const std::string& wanted = request.vm();
  if (wanted.empty()) {
    return fail(Errc::kInvalid, "vm is empty: give a VM's name, vm_id or UUID");
  }
  if (auto checked = check_text("vm", wanted); !checked) {
    return fail(std::move(checked.error()));
  }
  // An id or UUID is unique and wins over a VM that somebody named like it.
  const MirroredVm* found = nullptr;
  std::vector<std::string> same_name_ids;
  for (const MirroredVm& each : mirror.vms) {
    if (each.vm.vm_id() == wanted || each.vm.uuid() == wanted) {
      found = &each;
      same_name_ids.clear();
      break;
    }
    if (each.vm.name() == wanted) {
      found = &each;
      same_name_ids.push_back(each.vm.vm_id());
    }
  }
  if (found == nullptr) {
    return fail(Errc::kNotFound,
                fmt::format("no running VM has the name, vm_id or UUID '{}': `hvguardctl vms` "
                            "lists them",
                            safe_text(wanted, kMaxTextBytes)));
  }
  if (same_name_ids.size() > 1) {
    return several_vms(wanted, same_name_ids);
  }
  v1::GetVmResponse response;
  *response.mutable_vm() = found->vm;
  *response.mutable_vm()->mutable_device_ios() = found->device_ios;
  for (const v1::Limit& limit : mirror.limits) {
    if (limit.vm_id() == found->vm.vm_id()) {
      *response.add_limits() = limit;
    }
  }
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<v1::ListBlockedTasksResponse> list_blocked_tasks(
    const Mirror& mirror, const v1::ListBlockedTasksRequest& request) {
  const auto& filter = request.filter();
  if (auto checked = check_text("filter.vm_id", filter.vm_id()); !checked) {
    return fail(std::move(checked.error()));
  }
  v1::ListBlockedTasksResponse response;
  const auto next = fill_page(
      mirror.blocked_tasks,
      question_of("ListBlockedTasks", filter),
      request.page_size(),
      request.page_token(),
      task_key,
      [&](const v1::BlockedTask& each) {
        const bool may_count = each.state() == v1::BlockedTask::STATE_HARD ||
                               each.state() == v1::BlockedTask::STATE_UNKNOWN;
        return (!filter.only_hard() || may_count) &&
               (filter.vm_id().empty() || filter.vm_id() == each.vm_id());
      },
      [&](const v1::BlockedTask& each) {
        return add_copy(*response.mutable_blocked_tasks(), each);
      });
  if (!next) {
    return fail(next.error());
  }
  response.set_next_page_token(*next);
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<v1::ListIncidentsResponse> list_incidents(const Mirror& mirror,
                                                 const v1::ListIncidentsRequest& request) {
  if (auto checked = check(request.filter()); !checked) {
    return fail(std::move(checked.error()));
  }
  v1::ListIncidentsResponse response;
  const auto next = fill_page(
      *mirror.incidents,
      question_of("ListIncidents", request.filter()),
      request.page_size(),
      request.page_token(),
      [](const SharedIncident& each) { return incident_key(*each); },
      [&](const SharedIncident& each) { return fits(request.filter(), *each); },
      [&](const SharedIncident& each) { return add_copy(*response.mutable_incidents(), *each); });
  if (!next) {
    return fail(next.error());
  }
  response.set_next_page_token(*next);
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<v1::GetIncidentResponse> get_incident(const Mirror& mirror,
                                             const v1::GetIncidentRequest& request) {
  const std::string& wanted = request.incident_id();
  if (wanted.empty()) {
    return fail(Errc::kInvalid, "incident_id is empty: give an incident's id or its beginning");
  }
  if (auto checked = check_text("incident_id", wanted); !checked) {
    return fail(std::move(checked.error()));
  }
  const auto& by_id = mirror.incident_by_id;
  const auto found = by_id.lower_bound(wanted);
  if (found == by_id.end() || !found->first.starts_with(wanted)) {
    return fail(Errc::kNotFound,
                fmt::format("no incident '{}': it is unknown or forgotten; `hvguardctl incidents` "
                            "lists those remembered",
                            safe_text(wanted, kMaxTextBytes)));
  }
  const auto second = std::next(found);
  if (found->first != wanted && second != by_id.end() && second->first.starts_with(wanted)) {
    return fail(Errc::kInvalid,
                fmt::format("several incidents begin with '{}', {} and {} among them: give more "
                            "of the id",
                            safe_text(wanted, kMaxTextBytes),
                            found->first,
                            second->first));
  }
  v1::GetIncidentResponse response;
  *response.mutable_incident() = *(*mirror.incidents)[found->second];
  const auto evidence = mirror.evidence_by_incident.find(found->first);
  if (evidence != mirror.evidence_by_incident.end()) {
    *response.mutable_incident()->mutable_evidence() = evidence->second;
  }
  add_answers_to(mirror, found->first, response);
  *response.mutable_observe_time() = mirror.status.observe_time();
  return response;
}

Result<> check(const v1::IncidentFilter& filter) {
  if (filter.kinds_size() > kMaxFilterKinds) {
    return fail(Errc::kInvalid,
                fmt::format("filter.kinds has {} entries: at most {} are allowed",
                            filter.kinds_size(),
                            kMaxFilterKinds));
  }
  for (const int kind : filter.kinds()) {
    if (kind == v1::Incident::KIND_UNSPECIFIED || !v1::Incident::Kind_IsValid(kind)) {
      return fail(Errc::kInvalid,
                  fmt::format("filter.kinds has {}, which is no kind of incident", kind));
    }
  }
  if (!v1::Incident::State_IsValid(filter.state())) {
    return fail(
        Errc::kInvalid,
        fmt::format("filter.state is {}, which is no state", static_cast<int>(filter.state())));
  }
  if (!v1::Incident::Severity_IsValid(filter.min_severity())) {
    return fail(Errc::kInvalid,
                fmt::format("filter.min_severity is {}, which is no severity",
                            static_cast<int>(filter.min_severity())));
  }
  return check_text("filter.vm_id", filter.vm_id());
}

bool fits(const v1::IncidentFilter& filter, const v1::Incident& incident) {
  const auto& kinds = filter.kinds();
  return (kinds.empty() || std::find(kinds.begin(), kinds.end(), incident.kind()) != kinds.end()) &&
         (filter.state() == v1::Incident::STATE_UNSPECIFIED ||
          filter.state() == incident.state()) &&
         (filter.vm_id().empty() || filter.vm_id() == incident.vm_id()) &&
         incident.severity() >= filter.min_severity();
}

}  // namespace hvguard::link
