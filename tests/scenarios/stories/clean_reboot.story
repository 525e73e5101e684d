# A clean shutdown raises nothing; nor does the first boot, nor a hvguard-spool that is not there,
# but for agent_blind, which does not touch the advice whether to place VMs here.
previous-boot shutdown 200
at 5
previous-boot none 0
at 10
source previous_boot blind hvguard-spool says nothing
at 20
end 20
