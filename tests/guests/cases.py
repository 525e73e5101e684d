"""All cases by name, in the order in which they run: the cheap and telling ones first."""

import cases_contention
import cases_gateway
import cases_io
import cases_stuck
import cases_vms

ALL = {
    "two_guests": cases_vms.two_guests,
    "hostile_names": cases_vms.hostile_names,
    "counters": cases_io.counters,
    "counters_split": cases_io.counters_split,
    "counters_host_cache": cases_io.counters_host_cache,
    "hung_task": cases_stuck.hung_task,
    "killable_sleepers": cases_stuck.killable_sleepers,
    "dead_disk": cases_stuck.dead_disk,
    "contention": cases_contention.contention,
    "stuck_managers": cases_stuck.stuck_managers,
    "gateway": cases_gateway.gateway,
}
