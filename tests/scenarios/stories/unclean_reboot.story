# The host panicked, and is back after 200 s. hvguard-spool speaks some seconds after hvguardd has
# started. A restart of hvguardd neither clears the incident nor tells of it again; it ends an hour
# after the boot, that is 2600 s after the start of the story.
source previous_boot unknown hvguard-spool has not spoken yet
at 3
previous-boot running 200 Kernel panic - not syncing: hung_task: blocked tasks
source previous_boot ok
at 20
source previous_boot unknown hvguard-spool has not spoken yet
restart
at 26
source previous_boot ok
at 60
skip 2530
at 2610
end 2610
