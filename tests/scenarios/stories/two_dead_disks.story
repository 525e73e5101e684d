# Two dead disks are two causes, each with the VM that waits for it.
vm web01 4711
vm db01 4811
device 8:0 sda
device 8:16 sdb
io web01 8:0 moving
io db01 8:16 moving
at 5
io web01 8:0 stuck
io db01 8:16 stuck
block 4720 hard vm=web01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
block 4820 hard vm=db01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
at 25
end
