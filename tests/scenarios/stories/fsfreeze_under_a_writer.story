# A backup froze the file system under a VM's image and forgot to thaw it.
vm web01 4711
device 8:0 sda
io web01 8:0 moving
at 5
io web01 8:0 idle
block 4720 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write,ksys_pwrite64
block 4721 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write,ksys_pwrite64
at 50
run 4720
run 4721
io web01 8:0 moving
at 70
end
