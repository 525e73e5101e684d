# One dead disk under ext4: the journal, its waiters, the flusher, and those who wait for a lock that
# one of them holds are one incident.
vm web01 4711
vm web02 4712
device 8:0 sda
device 253:0 dm-0 on=8:0
io web01 8:0 moving
io web02 8:0 moving
at 5
io web01 8:0 stuck
io web02 8:0 stuck
block 300 hard kthread comm=jbd2/dm-0-8 stack=folio_wait_bit_common,folio_wait_bit,jbd2_journal_commit_transaction,kjournald2
block 301 hard worker=flush-253:0 comm=kworker/u8:1 stack=wait_transaction_locked,add_transaction_credits
block 4720 hard vm=web01 comm=worker stack=jbd2_log_wait_commit,ext4_sync_file
at 7
block 4730 hard vm=web02 comm=worker stack=folio_wait_bit_common,filemap_write_and_wait_range
block 4731 hard vm=web02 comm=worker stack=path_openat,do_filp_open lock=rwsem:4730
at 8
block 4732 hard vm=web02 comm=worker stack=path_openat,do_filp_open lock=mutex:4731
at 30
run 4720
at 45
run 300
run 301
run 4730
run 4731
run 4732
io web01 8:0 moving
io web02 8:0 moving
at 60
end
