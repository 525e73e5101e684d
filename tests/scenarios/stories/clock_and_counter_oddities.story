# Counters that start again, missing passes and missing ticks make nothing up and lose nothing.
vm web01 4711
device 8:0 sda
io web01 8:0 moving
psi io 0.1
at 5
counters-reset
at 8
block 4720 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 12
no-tasks
at 13
no-tasks
at 25
counters-reset
no-tasks
at 27
skip 20
at 60
run 4720
at 75
end
