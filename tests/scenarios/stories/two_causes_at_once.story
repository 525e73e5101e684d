# A dead disk and a frozen file system at the same time stay two incidents.
vm web01 4711
vm db01 4811
device 8:0 sda
device 8:16 sdb
io web01 8:0 moving
io db01 8:16 moving
at 5
io web01 8:0 stuck
block 4720 hard vm=web01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
at 6
block 4820 hard vm=db01 comm=worker stack=percpu_rwsem_wait,__percpu_down_read,vfs_write
at 40
run 4720
io web01 8:0 moving
at 60
end
