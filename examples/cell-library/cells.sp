* The cells. Transistors in series are wider, so that all cells drive about alike.

.subckt INV_X1 A Y vdd
xp Y A vdd vdd pfet w=0.8u
xn Y A 0 nfet w=0.4u
.ends

.subckt NAND2_X1 A B Y vdd
xpa Y A vdd vdd pfet w=0.8u
xpb Y B vdd vdd pfet w=0.8u
xna Y A m nfet w=0.7u
xnb m B 0 nfet w=0.7u
.ends

.subckt NOR2_X1 A B Y vdd
xpb m B vdd vdd pfet w=1.5u
xpa Y A m vdd pfet w=1.5u
xna Y A 0 nfet w=0.4u
xnb Y B 0 nfet w=0.4u
.ends
