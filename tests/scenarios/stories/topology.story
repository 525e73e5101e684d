# VMs that cannot be limited, one finding each, with the command that mends it.
vm web01 4711
shell-vm lone 4800
pids web01 50 100
at 5
pids web01 85 100
at 10
pids web01 75 100
at 15
pids web01 60 100
at 30
end
