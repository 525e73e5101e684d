# Without BPF a killable sleeper looks like one that counts; that no panic came in its time says more.
sysctl 20 0 1
proc-only on
source tasks degraded no BTF; /proc cannot tell killable sleepers apart
at 5
block 100 killable comm=dd stack=folio_wait_bit_common,filemap_read
at 80
end
