#include <string>

#include <fmt/format.h>

#include "ctl/format.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

std::string where_text(const v1::BlockedTask& task) {
  std::string text = task.stack().empty() ? std::string(kUnknown) : printable(task.stack(0));
  if (!task.lock_type().empty()) {
    text += fmt::format(", {}", printable(task.lock_type()));
    if (task.has_lock_owner_tid()) {
      text += fmt::format(" held by {}", task.lock_owner_tid());
    }
  }
  return text;
}

std::vector<Cell> row(const v1::BlockedTask& task, const Style& style) {
  const bool hard = task.state() == v1::BlockedTask::STATE_HARD;
  return {
      {task.has_blocked_since_time() ? age_text(task.blocked_since_time(), style.now)
                                     : std::string(kUnknown)},
      {enum_text(v1::BlockedTask::State_Name(task.state()), "STATE_"),
       hard ? Tone::kWarning : Tone::kPlain},
      {fmt::format("{}", task.tid())},
      {fmt::format("{}", task.pid())},
      {task.kernel_thread() ? fmt::format("[{}]", printable(task.comm())) : printable(task.comm())},
      {task.vm_id().empty() ? std::string(kUnknown) : printable(task.vm_id())},
      {where_text(task)},
  };
}

}  // namespace

std::string tasks_view(const v1::ListBlockedTasksResponse& answer, bool stack, const Style& style) {
  if (answer.blocked_tasks().empty()) {
    return "no blocked tasks\n";
  }
  const std::vector<Column> columns = {{"BLOCKED", true},
                                       {"STATE"},
                                       {"TID", true},
                                       {"PID", true},
                                       {"COMMAND", false, true},
                                       {"VM", false, true},
                                       {"IN", false, true}};
  if (!stack) {
    Table table(columns);
    for (const v1::BlockedTask& task : answer.blocked_tasks()) {
      table.add(row(task, style));
    }
    return table.render(style);
  }
  std::string out;
  for (const v1::BlockedTask& task : answer.blocked_tasks()) {
    Table table(columns);
    table.add(row(task, style));
    out += (out.empty() ? "" : "\n") + table.render(style);
    for (const std::string& function : task.stack()) {
      out += fmt::format("    {}\n", printable(function));
    }
    if (task.stack().empty()) {
      out += "    the stack is not known\n";
    }
  }
  return out;
}

}  // namespace hvguard::ctl
