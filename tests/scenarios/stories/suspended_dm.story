# dmsetup suspend, forgotten: the writers wait for IO, the cause is the suspended device.
vm web01 4711
device 8:0 sda
device 253:0 dm-0 on=8:0
device 253:1 dm-1 on=8:0
io web01 8:0 moving
at 4
suspend 253:1
block 300 hard kthread comm=jbd2/dm-1-8 stack=folio_wait_bit_common,jbd2_journal_commit_transaction
block 4720 hard vm=web01 comm=worker stack=jbd2_log_wait_commit,ext4_sync_file
at 30
resume 253:1
run 300
run 4720
at 40
end
