# The VM is killed in the middle: its incidents resolve, nothing stays behind.
vm web01 4711
device 8:0 sda
io web01 8:0 moving
at 5
io web01 8:0 stuck
block 4720 hard vm=web01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
pids web01 95 100
at 25
vm-gone web01
at 40
end
