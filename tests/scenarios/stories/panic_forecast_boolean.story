# hung_task_panic=1 at HZ 250: khungtaskd's rounds are 120.832 s apart.
sysctl 120 0 1
at 5
block 100 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 200
end
