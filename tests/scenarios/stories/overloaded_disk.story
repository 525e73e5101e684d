# Four VMs ask the same of a disk that cannot do it: everybody suffers, nobody in particular is at
# fault.
vm a 4711
vm b 4712
vm c 4713
vm d 4714
device 8:0 sda
load a 8:0 reads 30 600 300
load b 8:0 reads 30 600 300
load c 8:0 reads 31 600 300
load d 8:0 reads 29 600 300
at 10
end
