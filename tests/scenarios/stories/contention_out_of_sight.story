# Without latencies nothing is known: what was open stays so, and nothing new opens.
vm web01 4711
vm noisy 4712
device 8:0 sda
load web01 8:0 reads 8 300 40
load noisy 8:0 reads 200 300 200
at 10
source block_io blind map lost
at 20
source block_io degraded IO is read from io.stat: no latency
counts-only on
at 30
source block_io ok
counts-only off
at 40
restart
at 50
load web01 8:0 reads 50 4 3
load noisy 8:0 reads 100 8 6
at 60
end
