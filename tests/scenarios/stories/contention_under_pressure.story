# Waits of 40 ms are no contention on a disk, but they are while the whole host stalls for IO: part
# of the wait, for a free request, shows in PSI alone. On NVMe they are in any case.
vm web01 4711
vm noisy 4712
vm db01 4713
vm batch 4714
device 8:0 sda
device 259:0 nvme0n1
load web01 8:0 reads 20 40 10
load noisy 8:0 reads 400 40 30
at 10
psi io 0.6
at 20
# Half of the bound is high enough for what is open.
psi io 0.25
at 30
psi io 0.1
at 40
load db01 259:0 writes 20 40 10
load batch 259:0 writes 400 40 30
at 45
end
