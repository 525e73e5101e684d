#include "ctl/limit_command_line.h"

#include <string>

#include <CLI/CLI.hpp>

#include "ctl/limit_words.h"
#include "ctl/options.h"

namespace hvguard::ctl {
namespace {

CLI::App* add(CLI::App& app,
              Options& options,
              Command command,
              const std::string& name,
              const std::string& description,
              const std::string& examples) {
  CLI::App* sub = app.add_subcommand(name, description);
  sub->fallthrough();
  sub->footer("Examples:\n" + examples);
  sub->callback([&options, command] { options.command = command; });
  return sub;
}

CLI::Option* add_reason(CLI::App& sub, Options& options) {
  sub.add_flag("--dry-run", options.dry_run, "Only say what would result; change nothing");
  return sub.add_option("--reason", options.reason, "Why, for the audit log")->type_name("TEXT");
}

CLI::Option* add_kind(CLI::App& sub, Options& options) {
  sub.add_option("--device", options.device, "Disk, for the io.max kinds: sda or 8:0")
      ->type_name("DEVICE");
  return sub.add_option("kind", options.limit_kind, "Which setting")
      ->check(CLI::IsMember(limit_kind_names()))
      ->type_name("KIND");
}

void add_vm(CLI::App& sub, Options& options) {
  sub.add_option("vm", options.subject, "Its name, id or UUID")->required()->type_name("VM");
}

void add_limit(CLI::App& app, Options& options) {
  CLI::App* limit = app.add_subcommand("limit", "Set or release one limit on one VM");
  limit->fallthrough();
  limit->require_subcommand(1);
  limit->footer(
      "Examples:\n"
      "  sudo hvguardctl limit set web01 read_bytes 40M --device sda --for 10m --reason 'noisy'\n"
      "  sudo hvguardctl limit release web01 --reason 'over'");
  CLI::App* set = add(*limit,
                      options,
                      Command::kLimitSet,
                      "set",
                      "Set one limit for a time; hvguardd judges it by its own configuration",
                      "  sudo hvguardctl limit set web01 read_bytes 40M --device sda --for 10m "
                      "--reason 'noisy'\n"
                      "  sudo hvguardctl limit set web01 memory_high 5G --for 2h --reason 'leak'");
  add_vm(*set, options);
  add_kind(*set, options)->required();
  set->add_option("value",
                  options.value,
                  "40M or 1.5G (bytes, per second for disks), 200 (operations, weight, tasks), 50% "
                  "(of one CPU)")
      ->required()
      ->type_name("VALUE");
  set->add_option("--for", options.lease, "How long it holds: 90s, 10m, 2h, 1d")
      ->required()
      ->type_name("TIME");
  add_reason(*set, options)->required();
  CLI::App* release =
      add(*limit,
          options,
          Command::kLimitRelease,
          "release",
          "Take back what `limit set` made; of one kind, or all of the VM",
          "  sudo hvguardctl limit release web01 --reason 'over'\n"
          "  sudo hvguardctl limit release web01 read_bytes --device sda --reason 'over'");
  add_vm(*release, options);
  add_kind(*release, options);
  add_reason(*release, options)->required();
}

}  // namespace

void add_limit_commands(CLI::App& app, Options& options) {
  CLI::App* limits = add(app,
                         options,
                         Command::kLimits,
                         "limits",
                         "List limits on VMs and what the kernel has of them",
                         "  hvguardctl limits\n  hvguardctl limits --vm web01");
  limits->add_option("--vm", options.vm, "Only of this VM (name, id or UUID)")->type_name("VM");
  CLI::App* why = add(app,
                      options,
                      Command::kWhy,
                      "why",
                      "Why a VM is limited: evidence, decisions, limits, outcomes, what ends them",
                      "  hvguardctl why web01");
  add_vm(*why, options);
  add_limit(app, options);
  CLI::App* mode = add(app,
                       options,
                       Command::kMode,
                       "mode",
                       "Show or set what hvguardd may do to VMs, until its next start",
                       "  hvguardctl mode\n"
                       "  sudo hvguardctl mode dry_run --reason 'first week'\n"
                       "  sudo hvguardctl mode configured --reason 'trial over'");
  CLI::Option* const reason = add_reason(*mode, options);
  mode->add_option("mode", options.subject, "observe, dry_run, enforce, or configured")
      ->needs(reason)
      ->check(CLI::IsMember({"observe", "dry_run", "enforce", "configured"}).description(""))
      ->type_name("MODE");
  add_reason(*add(app,
                  options,
                  Command::kCordon,
                  "cordon",
                  "Close this host for new VMs, until hvguardd's next start",
                  "  sudo hvguardctl cordon --reason 'disk swap'"),
             options)
      ->required();
  add_reason(*add(app,
                  options,
                  Command::kUncordon,
                  "uncordon",
                  "Open this host for new VMs again",
                  "  sudo hvguardctl uncordon --reason 'disk swapped'"),
             options)
      ->required();
  CLI::App* ack = add(app,
                      options,
                      Command::kAck,
                      "ack",
                      "Mark an incident as known to a person",
                      "  sudo hvguardctl ack 4f2a --reason 'ticket 17'");
  ack->add_option("id", options.subject, "Its id, or the beginning of it")
      ->required()
      ->type_name("ID");
  add_reason(*ack, options)->required();
  add_reason(*add(app,
                  options,
                  Command::kReload,
                  "reload",
                  "Let hvguardd read its configuration again, and wait for how it went",
                  "  sudo hvguardctl reload"),
             options);
  CLI::App* release = add(app,
                          options,
                          Command::kReleaseAll,
                          "release",
                          "Put back every setting that hvguard changed; needs no daemon",
                          "  sudo hvguardctl release --all");
  release->add_flag("--all", options.all, "All limits; there is no other way")->required();
}

}  // namespace hvguard::ctl
