* Slow NMOS, slow PMOS: three sigma.
.param vthn=0.035 vthp=0.035 un=0.92 up=0.92
