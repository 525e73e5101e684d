# The disk stalls again and again: one incident, slower to close each time.
vm web01 4711
device 8:0 sda
io web01 8:0 moving
at 10
io web01 8:0 stuck
at 20
io web01 8:0 moving
at 40
io web01 8:0 stuck
at 50
io web01 8:0 moving
at 75
io web01 8:0 stuck
at 85
io web01 8:0 moving
at 115
end
