# Async IO on a dead disk: nobody is in D, only requests that never come back.
vm web01 4711
device 8:0 sda
device 253:0 dm-0 on=8:0
io web01 253:0 moving
io web01 8:0 moving
io host 8:0 moving
at 10
io web01 253:0 stuck
io web01 8:0 stuck
at 20
io host 8:0 stuck
at 30
io web01 253:0 moving
io web01 8:0 moving
io host 8:0 idle
at 45
end
