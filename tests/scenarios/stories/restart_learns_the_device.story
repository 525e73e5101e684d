# The device becomes known later: the incident keeps its key, over a restart too.
vm web01 4711
device 8:0 sda
at 5
block 4720 hard vm=web01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
at 20
io web01 8:0 stuck
at 30
restart
at 32
block 4721 hard vm=web01 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
at 50
end
