# A sync O_DIRECT reader on a dead disk wakes every half timeout, so the kernel never reports it and
# never panics. Beside it, a busy reader sleeps in the same function and is fine.
sysctl 20 0 1
vm web01 4711
device 8:0 sda
io web01 8:0 moving
at 3
io web01 8:0 stuck
block 4720 hard vm=web01 comm=worker wakes=10 stack=submit_bio_wait,blkdev_direct_IO
block 500 hard comm=fio wakes=0.7 stack=submit_bio_wait,blkdev_direct_IO
at 75
end
