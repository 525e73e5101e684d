// What the command line of hvguardctl asks for. Parsed by command_line.cpp.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"

namespace hvguard::ctl {

enum class Command {
  kStatus,
  kVms,
  kVm,
  kTasks,
  kIncidentsList,
  kIncidentsShow,
  kIncidentsWatch,
  kVersion,
  kLimits,
  kWhy,
  kLimitSet,
  kLimitRelease,
  kMode,
  kCordon,
  kUncordon,
  kAck,
  kReload,
  kReleaseAll,
};

enum class VmOrder { kName, kIo, kCpu, kMemory, kLatency };

struct Options {
  Command command = Command::kStatus;
  bool json = false;
  bool direct = false;
  bool no_color = false;
  std::string socket = "/run/hvguard/api/agent.sock";
  std::string core_socket = "/run/hvguard/core.sock";
  Nanoseconds timeout = std::chrono::seconds(5);

  VmOrder order = VmOrder::kName;
  std::string filter;   // vms: shell pattern over the name
  std::string subject;  // vm, why, limit: name, id or UUID; incidents show, ack: id; mode
  std::string vm;       // tasks, incidents, limits: only of this VM
  bool stack = false;   // tasks
  bool all = false;     // tasks: killable and frozen ones too; incidents: resolved too
  std::vector<std::string> kinds;  // incidents
  std::string resume_token;        // incidents watch

  // Of what changes something.
  std::string limit_kind;  // limit: "read_bytes"; release: empty means all
  std::string value;       // limit set
  std::string device;      // limit: "sda" or "8:0"
  std::string lease;       // limit set: "10m"
  std::string reason;
  bool dry_run = false;  // AdminService's validate_only
};

// Exit codes of hvguardctl; part of its interface (hvguardctl(1)).
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitUnreachable = 3,
  kExitNotFound = 4,
  kExitDenied = 5,
  kExitStale = 6,
};

}  // namespace hvguard::ctl
