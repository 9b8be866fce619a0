* Transistors of a generic 100 nm class at 1.0 V (BSIM4, few parameters set), no foundry's.
* The process corner sets vthn, vthp (shift of the threshold, V) and un, up (mobility, relative).

.model nch nmos level=54 version=4.8.2
+ toxe=2.2n vth0={0.32+vthn} u0={0.032*un} vsat=1.1e5 k1=0.35 k2=0.01 nfactor=1.5 eta0=0.02
+ rdsw=180 cgso=0.24n cgdo=0.24n cjs=1.0m cjsws=0.08n cjswgs=0.16n kt1=-0.15 ute=-1.3
.model pch pmos level=54 version=4.8.2
+ toxe=2.3n vth0={-0.32-vthp} u0={0.012*up} vsat=0.9e5 k1=0.35 k2=0.01 nfactor=1.5 eta0=0.02
+ rdsw=280 cgso=0.24n cgdo=0.24n cjs=1.1m cjsws=0.08n cjswgs=0.16n kt1=-0.15 ute=-1.1

* Drain and source areas follow the width, as a layout would have it.
.subckt nfet d g s w=0.4u
m1 d g s 0 nch w={w} l=0.1u ad={w*0.25u} as={w*0.25u} pd={2*w+0.5u} ps={2*w+0.5u}
.ends
.subckt pfet d g s b w=0.8u
m1 d g s b pch w={w} l=0.1u ad={w*0.25u} as={w*0.25u} pd={2*w+0.5u} ps={2*w+0.5u}
.ends
