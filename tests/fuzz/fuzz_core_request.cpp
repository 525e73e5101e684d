// Any packet as a request on core.sock: what the gateway, or whoever has taken its place, may send.
// Beyond not crashing: a refusal always says why, in one safe line, and its packet is bounded.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "hvguard/v1/core_link.pb.h"
#include "publish/admin_reply.h"
#include "publish/admin_request.h"
#include "publish/core_request.h"
#include "publish/frame.h"
#include "publish/journal.h"
#include "publish/saved_state.h"
#include "publish/spool_report.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

// From the spool: what is taken is bounded, safe to show, and the same when it is published.
void check_spool(std::string_view packet) {
  using namespace hvguard::publish;
  const auto request = parse_core_request(packet, {.may_attach = true});
  require(!request || packet.size() <= kMaxSpoolRequestBytes);
  if (!request || !request->report) {
    require(!request || request->kind != CoreRequestKind::kAttachSpool);
    return;
  }
  const hvguard::BootRecord& record = request->report->previous_boot;
  require(record.incidents.size() <= hvguard::kMaxRecordedIncidents);
  require(record.pstore.files.size() <= hvguard::kMaxPstoreFiles);
  require(record.boot_id.empty() || record.boot_id.size() == 36);
  for (const std::string* const text :
       {&record.pstore.telling_line, &record.detail, &request->report->record_error}) {
    require(text->size() <= 512);
    for (const char c : *text) {
      require(static_cast<unsigned char>(c) >= 0x20);
    }
  }
  hvguard::v1::AttachSpool again;
  *again.mutable_previous_boot() = to_proto(record);
  const auto second = spool_report_from_proto(again);
  require(second && second->previous_boot == record);
}

// From the gateway: what is judged is bounded and safe to log, and every refusal has its words.
void check_admin(const hvguard::Result<hvguard::AdminRequest>& admin) {
  using namespace hvguard;
  using namespace hvguard::publish;
  const auto answer = admin ? Result<AdminAnswer>(AdminAnswer{})
                            : Result<AdminAnswer>(fail(Errc::kInvalid, admin.error().message));
  if (!admin) {
    require(!admin.error().message.empty());
    require(encode_admin_reply(admin_error(admin.error())).size() <= 1200);
    return;
  }
  require(!admin->request_id.empty() && admin->request_id.size() <= kMaxRequestIdBytes);
  require(!admin->reason.empty() && admin->reason.size() <= kMaxAdminReasonBytes);
  for (const char c : admin->reason + admin->who) {
    require(static_cast<unsigned char>(c) >= 0x20);
  }
  if (const auto* const set = std::get_if<SetLimitAction>(&admin->action)) {
    require(set->lease > Nanoseconds(0));
    require(is_per_device(set->key.kind) == (set->key.device != DeviceId{}));
  }
  require(encode_audit(audit_record(*admin, answer)).size() < 8192);
}

void check_admin_packet(std::string_view packet) {
  using namespace hvguard::publish;
  const auto request = parse_core_request(packet, {.may_change = true, .name = "uid 1, pid 2"});
  if (request && request->admin) {
    require(packet.size() <= kMaxAdminRequestBytes);
    check_admin(*request->admin);
  }
}

// The bytes as a SetLimitRequest, which says most; where a field is empty that the fuzzer would
// hardly ever find, it gets one that is right.
void check_set_limit(std::string_view bytes) {
  hvguard::v1::AdminCall call;
  auto& request = *call.mutable_set_limit();
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return;
  }
  if (request.request_id().empty()) {
    request.set_request_id("r1");
  }
  if (request.reason().empty()) {
    request.set_reason("why");
  }
  if (request.vm_id().empty()) {
    request.set_vm_id("4711-1-23");
  }
  check_admin(hvguard::publish::admin_request_from_proto(call, "uid 1, pid 2"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hvguard::publish;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const auto request = parse_core_request(packet, CoreSender());
  require(!request || size <= kMaxRequestBytes);
  require(!request || request->kind != CoreRequestKind::kAttachSpool);
  check_spool(packet);
  check_admin_packet(packet);
  check_set_limit(packet);
  if (!request) {
    require(!request.error().message.empty());
    require(encode_error(request.error().message).size() <= 1100);
  }
  // The other thing that is read back from protobuf bytes which may be damaged.
  static_cast<void>(restore_state(packet, "boot"));
  return 0;
}
