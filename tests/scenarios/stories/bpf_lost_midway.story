# The tasks source falls back to /proc in the middle of an incident: it goes on with its identity and
# its start, and says that it is approximate where it is.
vm web01 4711
at 5
block 4720 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 20
proc-only on
source tasks degraded BPF iterator refused; /proc cannot tell killable sleepers apart
at 22
block 600 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 40
source tasks blind cannot read /proc
at 50
proc-only off
source tasks ok
at 55
run 4720
run 600
at 70
end
