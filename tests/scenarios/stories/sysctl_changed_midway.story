# The timeout is shortened while a task is blocked: khungtaskd is woken, and the forecast follows.
sysctl 600 0 1
at 5
block 100 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 40
sysctl 30 7 1
at 200
end
