# PSI with hysteresis; a blind source is Unknown after three ticks, not False.
at 5
psi io 0.6
psi memory 0.07
at 20
psi io 0.3
at 30
psi io 0.1
at 75
psi memory 0.2
at 85
source pressure blind denied
at 95
end
