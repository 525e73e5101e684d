# Reads that wait for a dead disk show as D but can be killed: khungtaskd never counts them.
sysctl 10 0 1
vm web01 4711
at 3
block 100 killable comm=dd stack=folio_wait_bit_common,filemap_read
block 101 frozen comm=sleep stack=__refrigerator
block 102 killable vm=web01 comm=qemu stack=folio_wait_bit_common,filemap_read
at 60
end
