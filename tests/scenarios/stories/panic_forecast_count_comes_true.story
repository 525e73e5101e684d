# hung_task_panic=2 and two tasks that stay: the kernel panics inside the window.
hz 1000
sysctl 20 5 2
at 5
block 100 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 17
block 101 hard comm=cp stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 100
end
