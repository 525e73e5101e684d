# Two noisy VMs fill a disk from 10 s on; the host's own small writes, a modest VM and an idle one
# share it. It opens within 3 s of data, outlasts a short pause, resolves, and comes back as a flap.
vm web01 4711
vm noisy1 4712
vm noisy2 4713
vm idle 4714
device 8:0 sda
load host 8:0 writes 20 4 3
load web01 8:0 reads 50 4 3
load idle 8:0 reads 0.2 4 3
load noisy1 8:0 reads 100 8 6
load noisy2 8:0 writes 100 8 6
at 10
load host 8:0 writes 5 600 50
load web01 8:0 reads 8 300 40
load noisy1 8:0 reads 200 300 200
load noisy2 8:0 writes 150 300 200
# A tick of quiet is no end.
at 20
load host 8:0 writes 20 4 3
load web01 8:0 reads 50 4 3
at 21
load host 8:0 writes 5 600 50
load web01 8:0 reads 8 300 40
at 40
load host 8:0 writes 20 4 3
load web01 8:0 reads 50 4 3
load noisy1 8:0 reads 100 8 6
load noisy2 8:0 writes 100 8 6
at 70
load host 8:0 writes 5 600 50
load noisy2 8:0 writes 300 300 200
at 80
end
