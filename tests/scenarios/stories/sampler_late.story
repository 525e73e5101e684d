# The sampler hangs: what is open stands, conditions are Unknown, and it is said why.
vm web01 4711
at 3
block 4720 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 20
late 10 /sys/fs/cgroup/machine.slice/cgroup.procs
at 45
end
