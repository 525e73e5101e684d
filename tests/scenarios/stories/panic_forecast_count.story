# hung_task_panic=3: three tasks must be hung in one round. The third comes late.
sysctl 20 0 3
at 5
block 100 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
block 101 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 70
block 102 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 85
run 100
at 100
end
