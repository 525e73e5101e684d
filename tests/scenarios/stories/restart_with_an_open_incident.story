# A restart of the daemon neither clears nor announces again.
vm web01 4711
at 5
block 4720 hard vm=web01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
shell-vm lone 4800
at 20
restart
at 30
restart
at 40
run 4720
restart
at 70
end
