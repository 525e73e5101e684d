# Without BPF the forecast is an upper bound with a wide window.
sysctl 20 0 1
proc-only on
source tasks degraded no BTF; /proc cannot tell killable sleepers apart
at 5
block 100 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 30
run 100
at 50
end
