# One VM waits long for its own requests, alone on its disk. Then others come who do not wait: it
# still suffers from nobody but itself. IO pressure is as high as it gets, which changes nothing.
vm busy 4711
vm calm 4712
device 8:0 sda
load busy 8:0 reads 300 600 300
at 5
psi io 0.9
at 20
load calm 8:0 reads 30 1 0.5
load host 8:0 writes 30 1 0.5
at 40
end
