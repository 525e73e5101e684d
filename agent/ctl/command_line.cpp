#include "ctl/command_line.h"

#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "ctl/limit_command_line.h"
#include "ctl/views.h"

namespace hvguard::ctl {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 hvguard not reachable; 4 not found; 5 "
    "permission\n"
    "denied; 6 shown, but the data are stale.\n"
    "\n"
    "Examples:\n"
    "  hvguardctl status\n"
    "  hvguardctl vms --sort io\n"
    "  hvguardctl --json incidents --all | jq '.incidents[].summary'\n"
    "  hvguardctl why web01\n"
    "  sudo hvguardctl --direct status";

const std::map<std::string, VmOrder> kOrders = {{"name", VmOrder::kName},
                                                {"io", VmOrder::kIo},
                                                {"cpu", VmOrder::kCpu},
                                                {"memory", VmOrder::kMemory},
                                                {"latency", VmOrder::kLatency}};

std::vector<std::string> known_kinds() {
  std::vector<std::string> kinds;
  for (int number = v1::Incident::Kind_MIN; number <= v1::Incident::Kind_MAX; ++number) {
    if (number != v1::Incident::KIND_UNSPECIFIED && v1::Incident::Kind_IsValid(number)) {
      kinds.push_back(kind_text(static_cast<v1::Incident::Kind>(number)));
    }
  }
  return kinds;
}

void add_global_options(CLI::App& app, Options& options, double& timeout_seconds) {
  app.add_flag(
      "--json", options.json, "Print JSON: field names of the API; 64-bit integers are strings");
  app.add_flag("--direct", options.direct, "Ask hvguardd itself, without hvguard-gateway (root)");
  app.add_option("--socket", options.socket, "hvguard-gateway's socket")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("--core-socket", options.core_socket, "hvguardd's socket, for --direct")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("--timeout", timeout_seconds, "Give up after this many seconds")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  app.add_flag("--no-color", options.no_color, "No colours; so does the variable NO_COLOR");
}

CLI::App* add_command(CLI::App& app,
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

void add_incident_commands(CLI::App& app, Options& options) {
  CLI::App* incidents = app.add_subcommand("incidents", "List, explain or watch incidents");
  incidents->fallthrough();
  incidents->footer(
      "Examples:\n"
      "  hvguardctl incidents\n"
      "  hvguardctl incidents --all --kind io_stall\n"
      "  hvguardctl incidents show 4f2a");
  incidents->require_subcommand(0, 1);
  const auto add_filters = [&options](CLI::App* sub) {
    sub->add_option("--kind", options.kinds, "Only this kind; may be repeated")
        ->check(CLI::IsMember(known_kinds()))
        ->allow_extra_args(false)
        ->type_name("KIND");
    sub->add_option("--vm", options.vm, "Only about this VM (name, id or UUID)")->type_name("VM");
  };
  add_filters(incidents);
  incidents->add_flag("--all", options.all, "Resolved ones that are still remembered too");
  // Before the subcommands' callbacks, which overwrite it.
  incidents->preparse_callback(
      [&options](std::size_t) { options.command = Command::kIncidentsList; });

  CLI::App* list = add_command(*incidents,
                               options,
                               Command::kIncidentsList,
                               "list",
                               "List incidents; the same as no command",
                               "  hvguardctl incidents list --all");
  list->add_flag("--all", options.all, "Resolved ones that are still remembered too");
  add_filters(list);

  CLI::App* show = add_command(*incidents,
                               options,
                               Command::kIncidentsShow,
                               "show",
                               "Explain one incident: evidence, meaning, what to do",
                               "  hvguardctl incidents show 4f2a");
  show->add_option("id", options.subject, "Its id, or the beginning of it")
      ->required()
      ->type_name("ID");

  CLI::App* watch = add_command(*incidents,
                                options,
                                Command::kIncidentsWatch,
                                "watch",
                                "Print incidents now, then every change, until interrupted",
                                "  hvguardctl incidents watch\n"
                                "  hvguardctl --json incidents watch | jq -c .change");
  add_filters(watch);
  watch
      ->add_option(
          "--resume", options.resume_token, "Go on after the response with this resume_token")
      ->type_name("TOKEN");
}

void add_commands(CLI::App& app, Options& options) {
  add_command(app,
              options,
              Command::kStatus,
              "status",
              "The host and the guard on it",
              "  hvguardctl status\n  sudo hvguardctl --direct status");
  CLI::App* vms = add_command(app,
                              options,
                              Command::kVms,
                              "vms",
                              "List running VMs",
                              "  hvguardctl vms --sort latency\n  hvguardctl vms --filter 'web*'");
  vms->add_option("--sort", options.order, "name, io, cpu, memory or latency")
      ->transform(CLI::CheckedTransformer(kOrders).description(""))
      ->type_name("ORDER");
  vms->add_option("--filter", options.filter, "Only VMs whose name fits this shell pattern")
      ->type_name("GLOB");
  CLI::App* vm = add_command(app,
                             options,
                             Command::kVm,
                             "vm",
                             "One VM: identity, memory, CPU, disks with latency, incidents",
                             "  hvguardctl vm web01");
  vm->add_option("name", options.subject, "Its name, id or UUID")->required()->type_name("NAME");
  CLI::App* tasks =
      add_command(app,
                  options,
                  Command::kTasks,
                  "tasks",
                  "List tasks in uninterruptible sleep that the kernel's watchdog counts",
                  "  hvguardctl tasks --stack\n  hvguardctl tasks --all --vm web01");
  tasks->add_flag("--stack", options.stack, "With their kernel stacks");
  tasks->add_flag("--all", options.all, "Killable and frozen ones too");
  tasks->add_option("--vm", options.vm, "Only of this VM (name, id or UUID)")->type_name("VM");
  add_incident_commands(app, options);
  add_limit_commands(app, options);
  add_command(app,
              options,
              Command::kVersion,
              "version",
              "Versions of hvguardctl and of hvguardd",
              "  hvguardctl version");
}

}  // namespace

std::variant<Options, Farewell> parse_options(int argc, const char* const* argv) {
  Options options;
  double timeout_seconds = 5;
  CLI::App app(
      "Shows what hvguard knows of this host: its VMs, their disk IO, blocked tasks, incidents, "
      "limits; and tells hvguard what to do.",
      "hvguardctl");
  app.footer(kFooter);
  app.set_version_flag("--version", "hvguardctl " HVGUARD_VERSION, "Show hvguardctl's version");
  app.require_subcommand(1);
  add_global_options(app, options, timeout_seconds);
  add_commands(app, options);
  if (auto farewell = read_options(app, argc, argv)) {
    return *std::move(farewell);
  }
  if (options.command == Command::kReload && options.reason.empty()) {
    options.reason = "hvguardctl reload";  // as with `systemctl reload`, which asks for none
  }
  options.timeout = std::chrono::milliseconds(static_cast<int>(timeout_seconds * 1000));
  return options;
}

}  // namespace hvguard::ctl
